"""Speed scaling: time is stretched, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vla_core.action_chunk import ActionChunk
from vla_core.chunking import RecedingHorizon, TemporalEnsembling
from vla_core.embodiment import JointLimits, load_embodiment
from vla_core.errors import LimitError
from vla_core.execution import Executor
from vla_core.motion.measure import CommandMeter
from vla_core.motion.speed import SpeedScaled

FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
MS = 1_000_000
TICK = 10 * MS
NOW = 1_800_000_000_123_456_789  # a date: its nanoseconds do not fit into a float
STEP = 20 * MS


def movement(path_s: np.ndarray) -> np.ndarray:
    return np.asarray(HOME + 0.2 * np.sin(2 * np.pi * 0.3 * path_s)[:, None])


def chunk(observation_ns: int, path_s: float, count: int = 60) -> ActionChunk:
    """What a policy says that saw the movement at a time of the path."""
    actions = np.column_stack([movement(path_s + 0.02 * np.arange(count)), np.zeros(count)])
    return ActionChunk(actions, FR3.action_names, observation_ns, STEP, observation_ns, inference_latency_ns=50 * MS)


def test_at_full_speed_it_is_the_scheduler_itself() -> None:
    plain, scaled = RecedingHorizon(), SpeedScaled(RecedingHorizon())
    for scheduler in (plain, scaled):
        scheduler.submit(chunk(NOW, 0.0), NOW + 50 * MS)
    assert scaled.ruling is not None
    assert (scaled.runs_out_ns, scaled.ruling.start_ns) == (plain.runs_out_ns, NOW)
    for time_ns in range(NOW, NOW + 1500 * MS, 7 * MS):
        have, want = scaled.reference_at(time_ns), plain.reference_at(time_ns)
        assert (have is None) == (want is None)
        if have is not None and want is not None:
            assert (have.position == want.position).all()


def test_at_half_speed_the_same_positions_come_in_twice_the_time_from_the_observation_on() -> None:
    scheduler = SpeedScaled(RecedingHorizon())
    scheduler.set_speed(0.5, NOW)
    scheduler.submit(chunk(NOW, 0.0), NOW + 50 * MS)
    for passed_ms in range(0, 1600, 40):
        found = scheduler.reference_at(NOW + passed_ms * MS)
        assert found is not None
        assert found.position[:7] == pytest.approx(movement(np.array([0.5e-3 * passed_ms]))[0], abs=1e-4)
    middle = scheduler.reference_at(NOW + 400 * MS)
    assert middle is not None
    assert middle.velocity[0] == pytest.approx(0.5 * 0.2 * 2 * np.pi * 0.3 * np.cos(2 * np.pi * 0.3 * 0.2), rel=1e-2)
    assert scheduler.ruling is not None
    assert (scheduler.ruling.start_ns, scheduler.ruling.step_ns) == (NOW, 2 * STEP)


def test_a_change_of_speed_does_not_move_the_path_and_is_continuous() -> None:
    scheduler = SpeedScaled(TemporalEnsembling())
    scheduler.submit(chunk(NOW, 0.0, 100), NOW)
    at_ns = NOW + 300 * MS
    before = scheduler.reference_at(at_ns)
    scheduler.set_speed(0.25, at_ns)
    after, later = scheduler.reference_at(at_ns), scheduler.reference_at(at_ns + 400 * MS)
    assert before is not None
    assert after is not None
    assert later is not None
    assert after.position == pytest.approx(before.position, abs=1e-12)
    assert later.position[:7] == pytest.approx(movement(np.array([0.4]))[0], abs=1e-4)


@pytest.mark.parametrize("speed", [0.0, -1.0, 1.5, float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(LimitError, match="expected a speed above 0 and at most 1"):
        SpeedScaled(RecedingHorizon()).set_speed(speed, NOW)


def test_a_policy_in_the_loop_goes_through_the_same_movement_at_a_speed_that_changes() -> None:
    """Each chunk begins where the arm is at its observation, as a policy's would: at any speed they agree with each other."""
    executor = Executor(FR3, RecedingHorizon())
    executor.arm(HOME, np.zeros(7), None, NOW, shadow=False)
    positions, path_s, on_path = [], 0.0, []
    speed = 1.0
    pending: list[tuple[int, ActionChunk]] = []
    for tick in range(600):
        now_ns = NOW + tick * TICK
        if tick in (150, 300, 450):
            speed = {150: 0.5, 300: 0.8, 450: 0.3}[tick]
            executor.set_speed(speed, now_ns)
        if tick % 25 == 0:
            pending.append((now_ns + 50 * MS, chunk(now_ns, path_s)))
        if pending and pending[0][0] <= now_ns:
            executor.submit(pending.pop(0)[1], now_ns)
        output = executor.tick(now_ns)
        assert output is not None
        positions += [output.smoothed.plan.state_at(now_ns + k * MS).position for k in range(1, 11)]
        path_s += speed * TICK * 1e-9
        on_path.append(movement(np.array([path_s]))[0])
    meter = CommandMeter(JointLimits.of(FR3), 1e-3)
    meter.add(np.array(positions))
    assert meter.quality.violations == 0
    error = np.abs(np.array(positions)[9::10] - np.array(on_path))[50:]
    assert error.max() < 0.015  # where the speed changes the arm needs a moment
    assert np.median(error) < 0.001
