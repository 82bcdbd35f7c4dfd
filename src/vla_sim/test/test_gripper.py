"""The simulated gripper answers and moves as franka_gripper does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_sim.controllers.gripper import Gripper, GripperGoal, GripperParameters
from vla_sim.controllers.messages import GoalStatus

PERIOD_NS = 1_000_000


class Hand:
    """Fingers that are where they are sent, but for an object of some width between them."""

    def __init__(self, width: float = 0.08, object_width: float = 0.0) -> None:
        self.gripper = Gripper(GripperParameters(), PERIOD_NS, width)
        self.width, self.object_width = width, object_width
        self.speed, self.now_ns = 0.0, 0

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 1000)):
            command = self.gripper.update(self.now_ns, self.width, self.speed)
            width = max(2.0 * command.position, self.object_width)
            self.speed, self.width = (width - self.width) * 1e3, width
            self.force = command.force
            self.now_ns += PERIOD_NS

    def finish(self, position: float) -> GripperGoal:
        goal = self.gripper.send_goal(position, 20.0)
        self.run(1.5)
        return goal


def test_it_opens_at_the_default_speed_of_the_width() -> None:
    hand = Hand(width=0.0)
    goal = hand.gripper.send_goal(0.04, 20.0)
    hand.run(0.4)
    assert hand.width == pytest.approx(0.04, abs=2e-4)
    assert goal.status is GoalStatus.EXECUTING
    hand.run(0.5)
    assert (goal.status, goal.reached_goal) == (GoalStatus.SUCCEEDED, True)
    assert goal.width == pytest.approx(0.08, abs=1e-3)


def test_a_position_is_half_of_the_width() -> None:
    hand = Hand()
    assert hand.finish(0.01).status is GoalStatus.SUCCEEDED
    assert hand.width == pytest.approx(0.02)


def test_closing_to_nothing_on_an_object_is_aborted_and_holds_it_with_the_given_force() -> None:
    hand = Hand(object_width=0.04)
    goal = hand.finish(0.0)
    assert (goal.status, goal.reached_goal, goal.stalled) == (GoalStatus.ABORTED, False, False)
    assert goal.width == pytest.approx(0.04)
    assert hand.force == 20.0
    assert hand.gripper.update(hand.now_ns, hand.width, 0.0).position == 0.0  # keeps squeezing


def test_closing_to_about_the_objects_width_succeeds() -> None:
    assert Hand(object_width=0.04).finish(0.018).status is GoalStatus.SUCCEEDED


def test_it_lets_go_of_an_object_from_where_the_fingers_are() -> None:
    hand = Hand(object_width=0.04)
    hand.finish(0.0)
    hand.gripper.send_goal(0.04, 20.0)
    hand.run(0.1)
    assert hand.width == pytest.approx(0.05, abs=1e-3)


def test_a_goal_out_of_range_is_aborted_and_nothing_moves() -> None:
    for position in (-0.001, 0.0401, float("nan")):
        hand = Hand()
        assert hand.finish(position).status is GoalStatus.ABORTED
        assert hand.width == 0.08


def test_a_goal_at_the_present_width_is_reached_at_once() -> None:
    goal = Hand().gripper.send_goal(0.04, 20.0)
    assert (goal.status, goal.reached_goal) == (GoalStatus.SUCCEEDED, True)


def test_another_goal_aborts_the_one_before() -> None:
    hand = Hand()
    first = hand.gripper.send_goal(0.0, 20.0)
    hand.run(0.2)
    second = hand.finish(0.04)
    assert (first.status, second.status) == (GoalStatus.ABORTED, GoalStatus.SUCCEEDED)


def test_cancelling_stops_the_fingers() -> None:
    hand = Hand()
    goal = hand.gripper.send_goal(0.0, 20.0)
    hand.run(0.2)
    assert hand.gripper.cancel_goal(goal)
    assert goal.status is GoalStatus.CANCELED
    stopped = hand.width
    hand.run(0.5)
    assert hand.width == pytest.approx(stopped, abs=2e-4)
    assert not hand.gripper.cancel_goal(goal)


def test_a_goal_without_effort_still_moves_the_fingers() -> None:
    hand = Hand()
    goal = hand.gripper.send_goal(0.0, 0.0)
    hand.run(1.5)
    assert goal.status is GoalStatus.SUCCEEDED
    assert hand.force > 0.0


@given(st.lists(st.tuples(st.floats(0.0, 0.04), st.floats(0.0, 1.0)), min_size=1, max_size=6))
def test_every_goal_ends_and_the_fingers_never_move_faster_than_allowed(goals: list[tuple[float, float]]) -> None:
    hand, sent, target = Hand(), [], 0.04
    for position, seconds in goals:
        sent.append(hand.gripper.send_goal(position, 20.0))
        if sent[-1].status is GoalStatus.EXECUTING:  # one that is reached at once does not end the motion under way
            target = position
        before = hand.width
        hand.run(seconds)
        assert abs(hand.width - before) <= 0.1 * (seconds + 0.0015)  # a cycle more by rounding
    hand.run(2.0)
    assert all(goal.status is not GoalStatus.EXECUTING for goal in sent)
    assert hand.width == pytest.approx(2.0 * target, abs=1e-3)
