"""The embodiment file as frozen dataclasses: the only statement of its keys, their types, units and defaults.

``vla_core.config`` reads them from YAML and reports wrong, missing and unknown keys with their path;
``vla_core.embodiment.loading`` checks that the parts refer to each other consistently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field as Constraint

from vla_core.embodiment.sources import (
    Align,
    Camera,
    DepthCamera,
    Elements,
    Field,
    Name,
    NotNegative,
    Positive,
    Stream,
    Topic,
    Unit,
)
from vla_core.embodiment.spaces import TOLD_EVERY_TICK, ActionSpace, ArmController, CartesianLimits, Kinematics

__all__ = [
    "SCHEMA",
    "ActionSpace",
    "Align",
    "ArmController",
    "Camera",
    "CartesianLimits",
    "Deadman",
    "DepthCamera",
    "Elements",
    "Embodiment",
    "EmergencyStop",
    "Field",
    "Gripper",
    "Joint",
    "Kinematics",
    "Motion",
    "Name",
    "Range",
    "RealBringup",
    "Recovery",
    "Safety",
    "Steps",
    "Stream",
    "Teleoperation",
    "Topic",
    "Unit",
    "VelocityBound",
    "VelocityEnvelope",
]

SCHEMA = "vla/embodiment/1"


@dataclass(frozen=True)
class Range:
    """A closed interval [unit of the joint]."""

    min: float
    max: float


@dataclass(frozen=True)
class VelocityBound:
    """One side of a velocity limit that narrows towards a position limit:

    ``v(q) = min(velocity, max(0, offset + sqrt(max(0, gain * distance))))``, with ``distance`` from q to ``position``.

    Source: libfranka, ``computeUpperLimitsJointVelocity`` and ``computeLowerLimitsJointVelocity``.
    """

    offset: float
    """[rad/s]"""
    gain: Positive
    """[rad/s^2]"""
    position: float
    """where the square root begins [rad]"""


@dataclass(frozen=True)
class VelocityEnvelope:
    """Position-dependent velocity limit of a joint: towards larger and towards smaller positions."""

    upper: VelocityBound
    lower: VelocityBound


@dataclass(frozen=True)
class Joint:
    """A commanded joint and its limits [rad, s; m, s for a prismatic joint]."""

    name: str
    position: Range
    velocity: Positive
    acceleration: Positive
    jerk: Positive
    velocity_envelope: VelocityEnvelope | None = None


@dataclass(frozen=True)
class Gripper:
    """A gripper that takes ``control_msgs/action/GripperCommand``, whose position is that of one finger.

    ``open_close``: a command below ``close_below`` closes it, above ``open_above`` opens it, between them nothing changes.
    ``continuous``: it goes where the command says, whenever that has changed by ``resolution``.
    """

    action: str
    """name of the action dimension that commands it"""
    goal_topic: Topic
    """the GripperCommand action"""
    state: str
    """where its position is measured (``stream.field``) [m]"""
    command_topic: Topic
    """``std_msgs/msg/Float64``, where every gripper target is also published, because goals cannot be recorded [m]"""
    open: float
    """finger position when open [m]"""
    closed: float
    """finger position to squeeze towards [m]"""
    close_below: float
    """[m]"""
    open_above: float
    """[m]"""
    max_effort: Positive
    """[N]"""
    mode: Literal["open_close", "continuous"] = "open_close"
    resolution: Positive = 0.001
    """smallest change of a continuous target that is worth a goal [m]"""


@dataclass(frozen=True)
class Steps:
    """When a step is taken, for recording and for observing alike.

    clock: a camera's role (a step at every image of it) or ``fixed`` (at whole multiples of the period).
    rate_hz: steps per second; also the rate of the actions in a chunk.
    end_steps: rows added at the end of an episode with the last images and state, marker 1 (0 before).
    """

    clock: str
    rate_hz: Positive
    end_steps: Annotated[int, Constraint(ge=0)] = 0


@dataclass(frozen=True)
class EmergencyStop:
    """A topic (``std_msgs/msg/Bool``) that says true while an emergency stop is pressed."""

    topic: Topic = "/emergency_stop"
    required: bool = False
    """whether arming is refused before it has said anything"""


@dataclass(frozen=True)
class Deadman:
    """A topic (``std_msgs/msg/Bool``) that must go on saying true while the arm moves."""

    topic: Topic = "/deadman"
    timeout_ms: Positive = 200.0
    """silent for longer, the switch counts as released"""


@dataclass(frozen=True)
class Teleoperation:
    """A topic (``sensor_msgs/msg/JointState``) with which a human takes the arm over from a policy.

    Names are those of the action's dimensions; the gripper's may be left out.
    """

    topic: Topic
    timeout_ms: Positive = 200.0
    """silent for longer, the human has given the arm back"""


@dataclass(frozen=True)
class Recovery:
    """How the robot gets out of an error of its own, a Franka's reflex for example. Asked for by a human only."""

    action: Topic = "/action_server/error_recovery"
    """``franka_msgs/action/ErrorRecovery``"""
    hardware_component: str = "FrankaHardwareInterface"
    """as controller_manager names it; is activated after that"""


@dataclass(frozen=True)
class Safety:
    """When to refuse and when to stop."""

    max_observation_age_ms: Positive = 100.0
    """an observation older than this is not inferred from, and a chunk from one older than this plus its latency is refused"""
    silence_ms: Positive = 300.0
    """without a usable reference for this long the arm is brought to a stop and the fault is latched"""
    max_start_distance: Positive = 0.5
    """a chunk whose first usable action is farther than this from the arm, in any joint, is refused [rad or m]"""
    max_tracking_error: Positive = 0.1
    """an arm that is farther than this from where its controller wants it, in any joint, is stopped [rad or m]"""
    joint_state_timeout_ms: Positive = 100.0
    """without joint states for this long the arm is stopped"""
    controller_timeout_ms: Positive = 200.0
    """without a word from the arm's controller for this long it counts as inactive, and the arm is stopped"""
    emergency_stop: EmergencyStop | None = EmergencyStop()
    deadman: Deadman | None = None


_DECISION_NS = 10_000_000


@dataclass(frozen=True)
class Motion:
    """Shares of the joints' limits that commands may use, and how far ahead motion is planned."""

    velocity_share: Annotated[float, Constraint(gt=0, le=1)] = 0.9
    acceleration_share: Annotated[float, Constraint(gt=0, le=1)] = 0.9
    jerk_share: Annotated[float, Constraint(gt=0, le=1)] = 0.3
    approach_share: Annotated[float, Constraint(gt=0, le=1)] = 0.2
    """of the velocity limits, on the way from where the arm is to where the first chunk begins"""
    control_rate_hz: Positive = 100.0
    """of commands, where the controller is told where to be at every tick; what it is told is planned at 100 Hz at most"""
    look_ahead_ms: Positive = 100.0
    """a deviation from the reference is made good over this time"""
    lead_ms: NotNegative = 40.0
    """a new plan leaves the one that was sent this long after it is made, so that it arrives before it differs"""

    @property
    def control_period_ns(self) -> int:
        """Between two commands [ns]."""
        return round(1e9 / self.control_rate_hz)

    @property
    def decision_period_ns(self) -> int:
        """Between two looks at what is asked for, and at what must stop the arm [ns]; plans take effect a lead later anyway."""
        return max(self.control_period_ns, _DECISION_NS)


@dataclass(frozen=True)
class RealBringup:
    """The launch file that brings up the real robot's driver and controllers."""

    package: str
    launch_file: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Embodiment:
    """Everything about a robot. See config/embodiments/fr3.yaml for a commented example."""

    schema: Literal["vla/embodiment/1"]
    name: str
    joints: tuple[Joint, ...]
    cameras: Mapping[Name, Camera]
    streams: Mapping[Name, Stream]
    proprioception: Mapping[Literal["qpos", "qvel", "effort"], tuple[str, ...]]
    action: ActionSpace
    arm: ArmController
    steps: Steps
    gripper: Gripper | None = None
    kinematics: Kinematics | None = None
    cartesian: CartesianLimits | None = None
    depth_cameras: Mapping[Name, DepthCamera] = field(default_factory=dict)
    teleoperation: Teleoperation | None = None
    recovery: Recovery | None = None
    safety: Safety = Safety()
    motion: Motion = Motion()
    real: RealBringup | None = None
    description: str = ""

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.joints)

    @property
    def step_ns(self) -> int:
        """Time between two steps, and between two actions of a chunk [ns]."""
        return round(1e9 / self.steps.rate_hz)

    @property
    def told_in_ns(self) -> int:
        """How far ahead of a tick the controller may have been told already where to be, when a plan comes just after it [ns]."""
        return 2 * self.motion.control_period_ns if self.arm.kind in TOLD_EVERY_TICK else 0

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """One name per action dimension: joint names, and the gripper's."""
        return self.names_of(self.action.fields)

    @cached_property
    def action_units(self) -> tuple[str, ...]:
        """One unit per action dimension."""
        return self.units_of(self.action.fields)

    @cached_property
    def sources(self) -> Mapping[str, Camera | DepthCamera | Stream]:
        """Everything that is subscribed to and recorded, by name: cameras, depth cameras, streams."""
        return {**self.cameras, **self.depth_cameras, **self.streams}

    def field(self, reference: str) -> tuple[str, Stream, Field]:
        """Looks up ``stream.field``. Returns the stream's name, the stream and the field."""
        stream_name, _, field_name = reference.partition(".")
        stream = self.streams[stream_name]
        return stream_name, stream, stream.fields[field_name]

    def names_of(self, references: tuple[str, ...]) -> tuple[str, ...]:
        """Element names of the vector that ``references`` (each ``stream.field``) make together."""
        names: list[str] = []
        for reference in references:
            _, stream, _ = self.field(reference)
            names.extend(stream.names_of(reference.partition(".")[2]))
        return tuple(names)

    def units_of(self, references: tuple[str, ...]) -> tuple[str, ...]:
        """Units of the same elements."""
        units: list[str] = []
        for reference in references:
            _, stream, found = self.field(reference)
            units.extend([found.unit] * len(stream.names_of(reference.partition(".")[2])))
        return tuple(units)

    @cached_property
    def observed_streams(self) -> tuple[str, ...]:
        """Streams that a policy sees: those of the proprioception. The others (commands) are only recorded."""
        used = {reference.partition(".")[0] for group in self.proprioception.values() for reference in group}
        return tuple(name for name in self.streams if name in used)

    def __hash__(self) -> int:
        return hash((self.name, self.joints))

    def __reduce__(self) -> tuple[Any, ...]:
        from vla_core.config import from_mapping, to_mapping

        return from_mapping, (Embodiment, to_mapping(self), self.name)
