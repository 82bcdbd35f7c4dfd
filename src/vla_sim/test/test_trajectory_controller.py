"""joint_trajectory_controller beyond the recordings: tolerances, goals, timeouts, stopping, parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.errors import ConfigError
from vla_sim.controllers.hardware import JointInterfaces
from vla_sim.controllers.joint_trajectory import JointTrajectoryController
from vla_sim.controllers.messages import (
    ErrorCode,
    FollowJointTrajectoryGoal,
    GoalStatus,
    JointTolerance,
    JointTrajectory,
    Point,
    Rejection,
    TrajectoryGoal,
)
from vla_sim.controllers.parameters import joint_trajectory_parameters

JOINTS = ("a", "b")
PERIOD_NS = 1_000_000
START_NS = 5_000_000_000


class Arm:
    """A controller whose joints are where they were told to be in the cycle before, unless they are blocked."""

    def __init__(self, **parameters: Any) -> None:
        self.hardware = JointInterfaces(JOINTS)
        self.hardware.position[:] = self.hardware.velocity[:] = 0.0
        base = {
            "joints": list(JOINTS),
            "command_interfaces": ["position"],
            "state_interfaces": ["position", "velocity"],
        }
        found = joint_trajectory_parameters(base | parameters, "arm")
        self.controller = JointTrajectoryController("arm", found, self.hardware, PERIOD_NS)
        self.controller.activate(START_NS)
        self.now_ns = START_NS
        self.blocked = False

    def run(self, seconds: float) -> np.ndarray:
        """Returns the commands (k, 2)."""
        commands = []
        for _ in range(round(seconds * 1000)):
            self.now_ns += PERIOD_NS
            assert self.controller.update(self.now_ns, PERIOD_NS)
            commands.append(self.hardware.command.copy())
            if not self.blocked:
                self.hardware.velocity[:] = (commands[-1] - self.hardware.position) * 1e3
                self.hardware.position[:] = commands[-1]
        return np.array(commands)

    def submit(self, *points: Point, stamp_ns: int = 0) -> Rejection | None:
        return self.controller.submit(JointTrajectory(stamp_ns, JOINTS, points), self.now_ns)

    def goal(self, *points: Point, **rest: Any) -> TrajectoryGoal:
        request = FollowJointTrajectoryGoal(JointTrajectory(0, JOINTS, points), **rest)
        found = self.controller.send_goal(request, self.now_ns)
        assert isinstance(found, TrajectoryGoal)
        return found


def point(seconds: float, *positions: float, velocity: float | None = None) -> Point:
    if velocity is None:
        return Point(round(seconds * 1e9), np.array(positions))
    return Point(round(seconds * 1e9), np.array(positions), np.full(2, velocity))


LIMITED = {"a": {"trajectory": 0.1, "goal": 0.02}, "b": {"trajectory": 0.1, "goal": 0.02}}


def test_leaving_the_path_aborts_the_goal_and_holds_the_measured_position() -> None:
    arm = Arm(constraints=LIMITED)
    goal = arm.goal(point(1.0, 1.0, 1.0))
    arm.run(0.2)
    held = arm.hardware.position.copy()
    arm.blocked = True
    commands = arm.run(0.3)
    assert (goal.status, goal.error_code) == (GoalStatus.ABORTED, ErrorCode.PATH_TOLERANCE_VIOLATED)
    assert commands[-1] == pytest.approx(held)
    assert np.abs(commands - held).max() < 0.11


def test_leaving_the_path_of_a_topic_message_stops_the_arm_too() -> None:
    arm = Arm(constraints=LIMITED)
    arm.submit(point(1.0, 1.0, 1.0))
    arm.blocked = True
    assert arm.run(0.3)[-1] == pytest.approx([0.0, 0.0])


def test_missing_the_goal_is_forgiven_for_the_goal_time_and_no_longer() -> None:
    arm = Arm(constraints=LIMITED | {"goal_time": 0.2})
    goal = arm.goal(point(0.1, 0.05, 0.05))
    arm.blocked = True
    arm.run(0.25)
    assert goal.status is GoalStatus.EXECUTING
    arm.run(0.1)
    assert (goal.status, goal.error_code) == (GoalStatus.ABORTED, ErrorCode.GOAL_TOLERANCE_VIOLATED)


def test_a_goal_succeeds_as_soon_as_it_is_within_its_tolerance() -> None:
    arm = Arm(constraints=LIMITED | {"goal_time": 1.0})
    goal = arm.goal(point(0.1, 0.05, 0.05))
    arm.blocked = True
    arm.run(0.2)
    arm.blocked = False
    arm.run(0.01)
    assert goal.status is GoalStatus.SUCCEEDED
    assert arm.run(0.01)[-1] == pytest.approx([0.05, 0.05])


@pytest.mark.parametrize(
    ("tolerance", "aborted"),
    [(JointTolerance("a", 0.01), True), (JointTolerance("a", -1.0), False), (JointTolerance("x", 0.01), False)],
    ids=["tighter", "none", "of an unknown joint: the defaults stay"],
)
def test_a_goal_brings_its_own_path_tolerance(tolerance: JointTolerance, aborted: bool) -> None:
    arm = Arm()
    goal = arm.goal(point(0.1, 0.05, 0.0), path_tolerance=(tolerance,))
    arm.blocked = True
    arm.run(0.09)
    assert (goal.status is GoalStatus.ABORTED) == aborted


def test_another_goal_aborts_the_one_before() -> None:
    arm = Arm()
    first, second = arm.goal(point(1.0, 1.0, 1.0)), arm.goal(point(0.2, 0.1, 0.1))
    assert (first.status, first.error_code) == (GoalStatus.ABORTED, ErrorCode.INVALID_GOAL)
    arm.run(0.3)
    assert second.status is GoalStatus.SUCCEEDED


def test_a_topic_message_takes_the_arm_and_the_goal_succeeds_elsewhere() -> None:
    arm = Arm()
    goal = arm.goal(point(1.0, 1.0, 1.0))
    arm.run(0.1)
    arm.submit(point(0.2, -0.3, -0.3))
    arm.run(0.3)
    assert goal.status is GoalStatus.SUCCEEDED
    assert arm.hardware.position == pytest.approx([-0.3, -0.3])


def test_deactivation_aborts_the_goal_and_an_inactive_controller_takes_nothing() -> None:
    arm = Arm()
    goal = arm.goal(point(1.0, 1.0, 1.0))
    arm.controller.deactivate()
    assert goal.status is GoalStatus.ABORTED
    refused = arm.submit(point(1.0, 1.0, 1.0))
    assert refused is not None
    assert refused.reason == "inactive"
    again = arm.controller.send_goal(goal.request, arm.now_ns)
    assert isinstance(again, Rejection)
    assert not arm.controller.cancel_goal(goal)


def test_the_command_timeout_holds_the_measured_position() -> None:
    arm = Arm(cmd_timeout=0.3)
    arm.submit(point(0.1, 0.2, 0.2))
    arm.run(0.2)
    arm.blocked = True
    arm.hardware.position[:] = 0.15
    assert arm.run(0.1)[-1] == pytest.approx([0.2, 0.2])
    assert arm.run(0.2)[-1] == pytest.approx([0.15, 0.15])


def test_cancelling_slows_down_at_the_given_rate_instead_of_stopping_at_once() -> None:
    joints = {name: {"max_deceleration_on_cancel": 4.0} for name in JOINTS}
    arm = Arm(constraints=joints | {"decelerate_on_cancel": True})
    goal = arm.goal(point(1.0, 1.0, 0.5))
    arm.run(0.5)
    assert arm.controller.cancel_goal(goal)
    before = arm.hardware.position.copy()
    commands = arm.run(1.0)
    assert goal.status is GoalStatus.CANCELED
    acceleration = np.diff(commands[2:], n=2, axis=0) * 1e6
    assert np.abs(acceleration).max() < 4.0 * 1.01
    stopped = np.array([1.0, 0.5]) ** 2 / (2 * 4.0)
    assert commands[-1] - before == pytest.approx(stopped, abs=3e-3)
    assert commands[-1] == pytest.approx(commands[-2], abs=1e-12)


def test_without_interpolation_the_next_point_is_commanded_when_the_one_before_is_reached() -> None:
    arm = Arm(interpolation_method="none")
    arm.submit(point(0.1, 0.3, 0.3), point(0.2, 0.6, 0.6))
    commands = arm.run(0.3)[:, 0]
    assert set(np.round(commands[:98], 9)) == {0.0}
    assert set(np.round(commands[100:], 9)) == {0.6}


def test_activation_holds_the_last_command_rather_than_what_is_measured() -> None:
    arm = Arm()
    arm.run(0.01)
    arm.controller.deactivate()
    arm.hardware.command[:] = 0.25
    arm.controller.activate(arm.now_ns)
    assert arm.run(0.01)[-1] == pytest.approx([0.25, 0.25])
    arm.controller.deactivate()
    arm.hardware.command[:] = np.nan
    arm.hardware.position[:] = 0.1
    arm.controller.activate(arm.now_ns)
    assert arm.run(0.01)[-1] == pytest.approx([0.1, 0.1])


def test_a_velocity_that_is_not_measured_counts_as_none_so_that_the_degree_stays() -> None:
    arm = Arm(state_interfaces=["position"])
    arm.submit(point(0.1, 0.1, 0.1, velocity=0.0))
    velocity = np.diff(arm.run(0.1)[:, 0]) * 1e3
    assert velocity[0] < 0.1  # a straight line would begin with 1 rad/s
    assert velocity[49] == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize(("points", "early"), [(2, True), (1, False)])
def test_the_last_of_several_points_is_the_reference_once_the_look_ahead_has_reached_it(
    points: int, early: bool
) -> None:
    arm = Arm()
    arm.submit(*(point(0.1 * k, 0.1 * k, 0.1 * k) for k in range(3 - points, 3)))
    arm.run(0.2)  # the last cycle is 1 ms before the end: its look-ahead is there
    arm.controller.update(arm.now_ns + PERIOD_NS // 2, PERIOD_NS // 2)
    assert (arm.controller.reference.position[0] == 0.2) == early


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=2, max_size=6),
    st.integers(1, 40),
    st.integers(1, 200),
)
def test_sending_the_same_path_again_at_any_time_changes_nothing(
    positions: list[tuple[float, float]], step_ms: int, again_ms: int
) -> None:
    points = tuple(
        Point((k + 1) * step_ms * 1_000_000, np.array(p), np.full(2, 0.3 * (k + 1 < len(positions))), np.zeros(2))
        for k, p in enumerate(positions)
    )
    once, twice = Arm(interpolate_from_desired_state=True), Arm(interpolate_from_desired_state=True)
    message = JointTrajectory(START_NS - 1, JOINTS, (Point(0, np.zeros(2), np.zeros(2), np.zeros(2)), *points))
    for arm in (once, twice):
        assert arm.controller.submit(message, START_NS) is None
    expected = once.run(0.25)
    first = twice.run(again_ms * 1e-3)
    refused = twice.controller.submit(message, twice.now_ns)
    assert refused is None or refused.reason == "ends_in_past"
    assert np.concatenate([first, twice.run(0.25 - again_ms * 1e-3)]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"joints": []}, "joints"),
        ({"command_interfaces": ["effort"]}, "command_interfaces"),
        ({"state_interfaces": ["velocity"]}, "expected 'position' among them"),
        ({"interpolation_method": "cubic"}, "interpolation_method: expected 'splines' or 'none'"),
        ({"constraints": {"c": {"goal": 0.1}}}, r"constraints: expected joints out of \['a', 'b'\], found \['c'\]"),
        ({"constraints": {"a": {"goal": -0.1}}}, "greater than or equal to 0"),
        ({"open_loop": True}, "open_loop: unknown key"),
    ],
)
def test_wrong_parameters_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Arm(**changed)
