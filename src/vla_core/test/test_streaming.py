"""A plan that is told bit by bit: whatever it is handed, and whenever, what is told does not jump."""

from __future__ import annotations

import numpy as np
import pytest

from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import State
from vla_core.motion.streaming import PlanStream

MS = 1_000_000
PERIOD_NS = 10 * MS


def way(to: float, begins_ns: int, ends_ns: int, start: float = 0.0) -> MotionPlan:
    return MotionPlan.through([begins_ns, ends_ns], [State.at_rest(np.array([start])), State.at_rest(np.array([to]))])


def told(stream: PlanStream, from_ns: int, until_ns: int) -> list[tuple[int, float]]:
    """Times that are meant and positions, of all ticks from a time until another."""
    found = []
    for now_ns in range(from_ns, until_ns, PERIOD_NS):
        if (one := stream.next(now_ns)) is not None:
            found.append((one[1], float(one[0].position[0])))
    return found


def test_a_plan_is_told_to_its_rest_and_then_once_more() -> None:
    stream, plan = PlanStream(PERIOD_NS), way(1.0, 20 * MS, 220 * MS)
    assert stream.rests
    stream.follow(plan, 0)
    found = told(stream, 0, 500 * MS)
    assert [time_ns for time_ns, _ in found] == list(range(10 * MS, 240 * MS, PERIOD_NS))
    assert [position for _, position in found] == [float(plan.state_at(at).position[0]) for at, _ in found]
    assert found[-1][1] == 1.0
    assert stream.rests
    assert (stream.told, stream.problem) == (len(found), "")


def test_a_plan_that_goes_on_from_the_one_before_is_followed() -> None:
    stream, first = PlanStream(PERIOD_NS), way(1.0, 20 * MS, 220 * MS)
    stream.follow(first, 0)
    told(stream, 0, 80 * MS)
    tail = MotionPlan.through([300 * MS], [State.at_rest(np.array([0.5]))])
    second = first.spliced(110 * MS, tail, keep_from_ns=80 * MS)
    stream.follow(second, 80 * MS)
    assert told(stream, 80 * MS, 400 * MS)[-1][1] == 0.5
    assert stream.problem == ""


def test_a_plan_that_comes_too_late_is_refused_and_the_one_before_told_to_its_rest() -> None:
    stream, first = PlanStream(PERIOD_NS), way(1.0, 20 * MS, 220 * MS)
    stream.follow(first, 0)
    told(stream, 0, 120 * MS)
    tail = MotionPlan.through([200 * MS], [State.at_rest(np.array([0.5]))])
    stream.follow(first.spliced(100 * MS, tail, keep_from_ns=60 * MS), 120 * MS)
    assert stream.problem.startswith("a plan came too late: it had left the one before, by ")
    stream.follow(way(2.0, 100 * MS, 300 * MS), 130 * MS)
    assert told(stream, 120 * MS, 400 * MS)[-1][1] == 1.0, "nothing else is followed before it rests"
    stream.follow(way(2.0, 500 * MS, 700 * MS, start=1.1), 410 * MS)
    assert stream.problem == "", "begun anew, from where the arm was armed"
    assert told(stream, 410 * MS, 800 * MS)[-1][1] == 2.0


def test_a_first_plan_that_moves_already_is_refused() -> None:
    stream = PlanStream(PERIOD_NS)
    stream.follow(way(1.0, 0, 200 * MS), 100 * MS)
    assert told(stream, 100 * MS, 300 * MS) == []
    assert stream.problem == "the first plan came too late: it moves already"


def test_after_a_pause_in_motion_the_rest_of_it_is_left_out() -> None:
    stream = PlanStream(PERIOD_NS)
    stream.follow(way(1.0, 20 * MS, 420 * MS), 0)
    assert told(stream, 0, 120 * MS)
    assert told(stream, 250 * MS, 600 * MS) == []
    assert stream.problem == "it was told nothing for 140 ms in motion"
    assert stream.rests


class Naive(PlanStream):
    """Follows whatever it is handed."""

    def _late(self, plan: MotionPlan, time_ns: int) -> str:
        return ""


def worst_jump(stream: PlanStream, seed: int) -> float:
    """Hands over plans that are ready at any time, also after they have left the one before.

    Returns:
        By how much a command differs at most from where the one before, with its velocity, leads [rad].
    """
    random = np.random.default_rng(seed)
    plan = MotionPlan.at_rest(np.zeros(1), 0)
    stream.follow(plan, 0)
    states: list[State] = []
    ready_ns, refused = 0, 0
    for now_ns in range(0, 40_000 * MS, PERIOD_NS):
        if stream.problem and stream.rests:
            refused += 1
            plan = MotionPlan.at_rest(states[-1].position if states else np.zeros(1), now_ns)
            stream.follow(plan, now_ns)
        if now_ns == ready_ns:
            stream.follow(plan, now_ns)
            splice_ns = now_ns + 40 * MS
            end = State.at_rest(random.uniform(-0.1, 0.1, size=1))
            tail = MotionPlan.through([splice_ns + int(random.integers(300, 600)) * MS], [end])
            plan = plan.spliced(splice_ns, tail, keep_from_ns=now_ns)
            ready_ns = now_ns + int(random.integers(1, 20)) * PERIOD_NS
        if (one := stream.next(now_ns)) is not None:
            states.append(one[0])
    assert refused > 10 or isinstance(stream, Naive)
    moved = np.diff([state.position[0] for state in states])
    velocity = np.array([state.velocity[0] for state in states])
    return float(np.abs(moved - 0.5e-9 * PERIOD_NS * (velocity[1:] + velocity[:-1])).max())


@pytest.mark.parametrize("seed", range(5))
def test_plans_that_are_ready_at_any_time_never_make_a_jump(seed: int) -> None:
    assert worst_jump(PlanStream(PERIOD_NS), seed) < 5e-4
    assert worst_jump(Naive(PERIOD_NS), seed) > 5e-3
