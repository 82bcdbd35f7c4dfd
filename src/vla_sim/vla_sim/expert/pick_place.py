"""The expert for ``pick_place``: sees where the cube is, and does what a careful teleoperator does.

How a node sends what :meth:`PickPlaceExpert.act` returns: ``plan`` as one JointTrajectory whose stamp is the time of the plan's
first knot and whose points are all knots with positions, velocities and accelerations (``time_from_start`` counts from that
first knot), every 20 to 100 ms, each message replacing the one before; ``gripper`` as a GripperCommand goal and as the
recorded command whenever it changes. The first knot lies at or before ``time_ns``, so the controller goes on in the middle of
the trajectory without a bridge; the last one is at rest, so silence stops the arm. A message must be used within
``lead_ns`` of ``time_ns``: from then on the path may differ from what was sent before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import JointLimits
from vla_core.motion.plan import MotionPlan
from vla_sim.expert.drift import Drift, draw_drift
from vla_sim.expert.inverse_kinematics import InverseKinematics
from vla_sim.expert.joint_path import JointPath
from vla_sim.models.robot_model import RobotModel
from vla_sim.plant import Pose
from vla_sim.tasks.pick_place import CUBE, MARK, PickPlaceConfig

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ExpertSettings:
    """How the expert moves. Durations are those at speed 1; distances in m, times in s.

    Attributes:
        open, closed: gripper targets of each finger.
        hover: height above the grasp to which the cube is lifted, and from which it is put down.
        release: height above the table at which the cube is let go.
        near: a cube that moved by less than this is followed without going up first.
        speed_spread: the speed of an episode is within this share of 1, either side.
        disturbance: how likely a movement towards the cube, and one towards the mark, is to drift off its way, 0..1.
        drift: how far it then drifts, at most.
        lead_ns: the path is changed no earlier than this after ``act`` was called.
        horizon_ns: how far ahead a plan goes before it comes to rest.
    """

    open: float = 0.04
    closed: float = 0.0
    hover: float = 0.12
    release: float = 0.001
    near: float = 0.015
    speed_spread: float = 0.1
    disturbance: float = 0.0
    drift: float = 0.03
    lead_ns: int = 60_000_000
    horizon_ns: int = 300_000_000


@dataclass(frozen=True, eq=False)
class ExpertCommand:
    """What the expert wants.

    Attributes:
        plan: of the arm's joints, in absolute time, at rest in the end.
        gripper: target of each finger [m].
        done: the cube is put down and the arm is back: the episode may end.
        drifting: the arm is being led off its way on purpose; what it does now is no example to follow.
    """

    plan: MotionPlan
    gripper: float
    done: bool
    drifting: bool


class _Phase(Enum):
    APPROACH = "approach"
    GRASP = "grasp"
    CARRY = "carry"
    RELEASE = "release"
    RETREAT = "retreat"


_MOVED = 0.003  # [m] a cube that moved by more is aimed at anew
_AT_TARGET = 0.02  # [rad] of every joint
_LOST = 0.006  # [m] fingers closed by this much more than the cube's half edge hold nothing
_FINGERS_REST = 3e-4  # [m] change of a finger between two looks
_LOOK_NS = 30_000_000  # at least this long between two looks at the fingers
_CLOSE_EARLY_NS = 120_000_000  # before the way down ends: 2 mm are left, and the fingers have 2 cm to go
_OPEN_EARLY_NS = 40_000_000
_RELEASED = 0.009  # [m] each finger clear of the cube before the arm goes up
_RETREAT_LIFT = 0.10  # [m]


class PickPlaceExpert:
    """One episode after another: :meth:`reset`, then :meth:`act` at any rate until it is done. Deterministic.

    Args:
        model: of the robot.
        limits: of its joints.
        task: the task's settings.
        settings: how to move.
    """

    def __init__(
        self, model: RobotModel, limits: JointLimits, task: PickPlaceConfig, settings: ExpertSettings | None = None
    ) -> None:
        self.settings = settings or ExpertSettings()
        self._limits = limits
        self._home = np.array(task.home.arm_position)
        self._kinematics = InverseKinematics(model, self._home)
        self._rest_height = task.cube.edge / 2

    def reset(self, time_ns: int, joint_position: Array, seed: int) -> None:
        """A new episode.

        Args:
            time_ns: now.
            joint_position: (n,) where the arm stands [rad].
            seed: of the episode's speed and disturbances.
        """
        random = np.random.default_rng(seed)
        spread = self.settings.speed_spread
        self._pace = 1.0 / random.uniform(1.0 - spread, 1.0 + spread)
        self._drifts = [draw_drift(random, self.settings.disturbance, self.settings.drift) for _ in range(2)]
        self._drifting_until: list[tuple[int, int]] = []
        # the first knot lies a little ahead, for the controller to go there from wherever it holds the arm
        self._path = JointPath(
            self._kinematics, self._limits, time_ns + self.settings.lead_ns, np.array(joint_position)
        )
        self._phase: _Phase | None = None
        self._gripper = self.settings.open
        self._look: tuple[int, float] = (time_ns, np.inf)

    def act(
        self, time_ns: int, joint_position: Array, finger_position: float, objects: Mapping[str, Pose]
    ) -> ExpertCommand:
        """What to do now.

        Args:
            time_ns: now; later than in the call before.
            joint_position: (n,) measured [rad].
            finger_position: measured, of each finger [m].
            objects: measured poses.

        Raises:
            SimulationError: cube or mark are out of the arm's reach.
        """
        change_ns = self._path.next_knot_ns(time_ns + self.settings.lead_ns)
        early_ns = _CLOSE_EARLY_NS if self._phase is _Phase.APPROACH else _OPEN_EARLY_NS
        arrived = self._arrived(time_ns + early_ns, joint_position)
        resting = self._fingers_rest(time_ns, finger_position)
        cube, mark = objects[CUBE], objects[MARK]
        if self._phase is None:
            self._begin_approach(change_ns, cube)
        elif self._phase is _Phase.APPROACH:
            self._approach(change_ns, arrived, cube)
        elif self._phase is _Phase.GRASP and resting:
            self._begin_carry(change_ns, mark)
        elif self._phase is _Phase.CARRY:
            self._carry(change_ns, arrived, finger_position, cube)
        elif self._phase is _Phase.RELEASE and finger_position > self._rest_height + _RELEASED:
            self._begin_retreat(change_ns)
        done = self._phase is _Phase.RETREAT and time_ns >= self._path.cartesian.end_ns
        plan = self._path.plan(time_ns, time_ns + self.settings.horizon_ns)
        drifting = any(begin <= time_ns < end for begin, end in self._drifting_until)
        return ExpertCommand(plan, self._gripper, done, drifting)

    def _approach(self, change_ns: int, arrived: bool, cube: Pose) -> None:
        missing = self._grasp_pose(cube) - self._path.cartesian.end
        if np.abs(missing[:3]).max() > _MOVED or abs(missing[3]) > 5 * _MOVED:
            self._follow(change_ns, missing)
        elif arrived:
            self._phase, self._gripper = _Phase.GRASP, self.settings.closed
            self._look = (change_ns, np.inf)

    def _begin_carry(self, change_ns: int, mark: Pose) -> None:
        self._phase = _Phase.CARRY
        target = np.array([*mark.position[:2], self._rest_height + self.settings.release, self._path.cartesian.end[3]])
        way = target - self._path.cartesian.end
        lift = np.array([0.0, 0.0, self.settings.hover, 0.0])
        self._path.add(change_ns, self._seconds(0.9), lift)
        sideways_ns = self._later(change_ns, 0.25)
        self._transfer(sideways_ns, way * (1, 1, 0, 1), way * (0, 0, 1, 0) - lift, 1.1, self._drifts[1])

    def _carry(self, change_ns: int, arrived: bool, finger_position: float, cube: Pose) -> None:
        if self._holds_nothing(finger_position):
            self._retry(change_ns, cube)
        elif arrived:
            self._phase, self._gripper = _Phase.RELEASE, self.settings.open

    def _begin_approach(self, change_ns: int, cube: Pose) -> None:
        self._phase = _Phase.APPROACH
        way = self._grasp_pose(cube) - self._path.cartesian.end
        self._transfer(change_ns, way * (1, 1, 0, 1), way * (0, 0, 1, 0), 1.5, self._drifts[0])

    def _begin_retreat(self, change_ns: int) -> None:
        self._phase = _Phase.RETREAT
        self._path.add(change_ns, self._seconds(0.8), np.array([0.0, 0.0, _RETREAT_LIFT, 0.0]))
        way = self._kinematics.tcp(self._home) - self._path.cartesian.end
        self._path.add(self._later(change_ns, 0.3), self._seconds(1.4), way)

    def _retry(self, change_ns: int, cube: Pose) -> None:
        """The cube is not between the fingers: open them, go up and approach it anew."""
        self._phase, self._gripper = _Phase.APPROACH, self.settings.open
        self._follow(change_ns, self._grasp_pose(cube) - self._path.cartesian.end, go_up=True)

    def _follow(self, change_ns: int, missing: Array, go_up: bool = False) -> None:
        """Moves the end of the path by ``missing`` (4,); over a hop if that is far, so as not to sweep the cube away."""
        if not go_up and np.abs(missing[:3]).max() < self.settings.near:
            self._path.add(change_ns, self._seconds(0.5), missing)
            return
        hop = np.array([0.0, 0.0, self.settings.hover, 0.0])
        self._path.add(change_ns, self._seconds(0.6), hop)
        self._transfer(self._later(change_ns, 0.35), missing * (1, 1, 0, 1), missing * (0, 0, 1, 0) - hop, 1.0, None)

    def _transfer(self, start_ns: int, sideways: Array, down: Array, down_s: float, drift: Drift | None) -> None:
        """Sideways, and down so that the way sideways is done before the fingers are among what stands on the table."""
        duration_s = self._seconds(float(np.clip(0.8 + 2.0 * np.hypot(*sideways[:2]), 0.9, 1.7)))
        self._path.add(start_ns, duration_s, sideways)
        level_ns = start_ns + round(duration_s * 1e9)
        if drift is not None:
            level_ns = max(level_ns, self._add_drift(start_ns, duration_s, drift))
        down_s = self._seconds(down_s)
        # two thirds into the way down its last fifth begins: 3 to 5 cm
        begin_ns = max(start_ns + round(0.4 * duration_s * 1e9), level_ns - round(0.62 * down_s * 1e9))
        self._path.add(self._path.next_knot_ns(begin_ns), down_s, down)

    def _add_drift(self, start_ns: int, duration_s: float, drift: Drift) -> int:
        """Off the way and back. Returns when it is back."""
        away_ns = self._path.next_knot_ns(start_ns + round(drift.begin * duration_s * 1e9))
        back_ns = self._later(away_ns, drift.away_s)
        self._path.add(away_ns, drift.away_s, drift.displacement)
        self._path.add(back_ns, drift.back_s, -drift.displacement)
        self._drifting_until.append((away_ns, back_ns))
        return back_ns + round(drift.back_s * 1e9)

    def _arrived(self, time_ns: int, joint_position: Array) -> bool:
        """The path is at its end, and so is the arm."""
        if time_ns < self._path.cartesian.end_ns:
            return False
        planned = self._path.position_at(self._path.cartesian.end_ns)
        return bool(np.abs(joint_position - planned).max() < _AT_TARGET)

    def _fingers_rest(self, time_ns: int, finger_position: float) -> bool:
        looked_ns, before = self._look
        if time_ns - looked_ns < _LOOK_NS:
            return False
        self._look = (time_ns, finger_position)
        return abs(finger_position - before) < _FINGERS_REST

    def _holds_nothing(self, finger_position: float) -> bool:
        return finger_position < self._rest_height - _LOST

    def _grasp_pose(self, cube: Pose) -> Array:
        """x, y, z, yaw (4,): around the cube's middle, the fingers on the pair of sides that needs the smaller turn."""
        yaw = (cube.yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4
        return np.array([*cube.position[:2], max(cube.position[2], self._rest_height), yaw])

    def _seconds(self, duration_s: float) -> float:
        return duration_s * self._pace

    def _later(self, time_ns: int, duration_s: float) -> int:
        return self._path.next_knot_ns(time_ns + round(self._seconds(duration_s) * 1e9))


def with_disturbance(settings: ExpertSettings, probability: float) -> ExpertSettings:
    """These settings, with drifts as likely as this."""
    return replace(settings, disturbance=probability)
