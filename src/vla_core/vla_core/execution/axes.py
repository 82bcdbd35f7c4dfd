"""The axes that an executor moves: how chunks are said in them, where they were commanded to be, what smooths them."""

from __future__ import annotations

from vla_core.action_chunk import ActionChunk
from vla_core.action_spaces import CommandedHistory, CommandSpace, Resolved, command_space
from vla_core.embodiment import Embodiment, JointLimits
from vla_core.errors import EmbodimentMismatch
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import Array
from vla_core.motion.region import Region
from vla_core.motion.smoother import Smoother
from vla_core.motion.velocity_smoother import VelocitySmoother


class Axes:
    """Of an embodiment: its joints, the pose of its tool, or the velocities of its base.

    Args:
        embodiment: its action space, controller, limits.
        region: where the arm may be beside its joints' limits; None: anywhere.

    Raises:
        EmbodimentMismatch: its parts do not fit each other, a teleoperator's positions mean nothing in its action space, or its
            lead is too short for its controller.
        ConfigError: the robot's model cannot be read.
    """

    def __init__(self, embodiment: Embodiment, region: Region | None) -> None:
        self.space: CommandSpace = command_space(embodiment)
        if embodiment.teleoperation is not None and embodiment.action.kind != "joint_position":
            raise EmbodimentMismatch(
                f"'{embodiment.name}': teleoperation: expected actions of the kind joint_position, found {embodiment.action.kind}"
            )
        lead_ms, least_ms = embodiment.motion.lead_ms, 1.5e-6 * embodiment.told_in_ns
        if lead_ms < least_ms:
            raise EmbodimentMismatch(
                f"'{embodiment.name}': motion.lead_ms: expected at least {least_ms:g}, three periods of the control rate, for a "
                f"controller told at every tick where to be ({embodiment.arm.kind}), found {lead_ms:g}"
            )
        self._motion = embodiment.motion
        self._region = region
        self._history: CommandedHistory | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The axes, n."""
        return self.space.names

    @property
    def limits(self) -> JointLimits:
        """Of the axes."""
        return self.space.limits

    @property
    def have_positions(self) -> bool:
        """Whether the axes are commanded to places, which the robot can be far from."""
        return self.space.commands == "position"

    def begin(self, joints: Array, now_ns: int) -> Smoother | VelocitySmoother:
        """What smooths the motion from now on, at rest where the joints stand.

        Raises:
            LimitError: they stand outside of their limits.
        """
        position = self.space.begin(joints)
        self._history = CommandedHistory(position, now_ns, self._motion.decision_period_ns)
        if self.have_positions:
            return Smoother(self.limits, self._motion, position, now_ns, self._region)
        return VelocitySmoother(self.limits, self._motion, position, now_ns)

    def set_speed(self, smoother: Smoother | VelocitySmoother | None, speed: float) -> None:
        """Passes on a share of the speed: time that is stretched makes places come later, and leaves velocities as they are."""
        if isinstance(smoother, VelocitySmoother):
            smoother.speed = speed
            smoother.renew()

    def note(self, plan: MotionPlan, now_ns: int) -> None:
        """Takes the executed plan at a tick."""
        if self._history is not None:
            self._history.note(plan, now_ns)

    def resolve(self, chunk: ActionChunk, plan: MotionPlan) -> Resolved:
        """Says a chunk in the axes.

        Args:
            chunk: that was found valid.
            plan: that is executed.

        Raises:
            ChunkError: not one of its actions can be executed.
        """
        history = self._history
        assert history is not None, "axes that have begun"
        return self.space.resolve(chunk, lambda time_ns: history.at(time_ns, plan))
