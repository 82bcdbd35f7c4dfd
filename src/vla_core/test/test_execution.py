"""Execution: whatever chunks come, what would be sent keeps every limit at 1 kHz and ends at rest."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.action_chunk import ActionChunk
from vla_core.chunking import ChunkCurve, RecedingHorizon, TemporalEnsembling
from vla_core.embodiment import JointLimits, load_embodiment
from vla_core.errors import ChunkError, LimitError
from vla_core.execution import Executor, ExecutorState
from vla_core.execution.faults import Fault, FaultName
from vla_core.motion.measure import CommandMeter, CommandQuality
from vla_core.motion.plan import MotionPlan

ROOT = Path(__file__).parents[3]
FR3 = load_embodiment(ROOT / "config" / "embodiments" / "fr3.yaml")
LIMITS = JointLimits.of(FR3)
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
MS = 1_000_000
TICK = 10 * MS
STEP = round(1e9 / 30)


def chunk_of(actions: np.ndarray, observation_ns: int, sequence: int = 0, **changes: object) -> ActionChunk:
    chunk = ActionChunk(
        actions, FR3.action_names, observation_ns, STEP, observation_ns, sequence=sequence, inference_latency_ns=40 * MS
    )
    return dataclasses.replace(chunk, **changes)  # type: ignore[arg-type]


def sine_chunk(observation_ns: int, horizon: int = 30, amplitude: float = 0.2, hz: float = 0.25) -> np.ndarray:
    times = (observation_ns + STEP * np.arange(horizon)) * 1e-9
    wave = amplitude * np.sin(2 * np.pi * hz * times)
    return np.column_stack([HOME[None, :] + wave[:, None], np.full(horizon, 0.04)])


class Commanded:
    """What a controller that interpolates the sent plans commands, cycle by cycle at 1 kHz."""

    def __init__(self, plan: MotionPlan) -> None:
        self._plan = plan
        self.positions: list[np.ndarray] = []

    def run(self, executor: Executor, now_ns: int) -> None:
        output = executor.tick(now_ns)
        assert output is not None
        if output.smoothed.changed:
            self._plan = output.smoothed.plan
        self.positions += [self._plan.state_at(now_ns + k * MS).position for k in range(1, 11)]


def quality(positions: list[np.ndarray]) -> CommandQuality:
    meter = CommandMeter(LIMITS, 1e-3)
    meter.add(np.array(positions))
    return meter.quality


def armed(scheduler: RecedingHorizon | TemporalEnsembling, position: np.ndarray = HOME) -> tuple[Executor, Commanded]:
    executor = Executor(FR3, scheduler)
    executor.arm(position, np.zeros(7), None, 0, shadow=False)
    return executor, Commanded(MotionPlan.at_rest(position, 0))


def run(executor: Executor, commanded: Commanded, ticks: range, chunks: dict[int, ActionChunk]) -> None:
    for tick in ticks:
        if tick in chunks:
            try:
                executor.submit(chunks[tick], tick * TICK)
            except ChunkError:
                assert executor.message
        commanded.run(executor, tick * TICK)


@pytest.mark.parametrize(
    "scheduler", [RecedingHorizon(2.0), TemporalEnsembling(0.01, 2.0)], ids=["receding", "ensembling"]
)
def test_clean_chunks_are_followed_without_lag(scheduler: RecedingHorizon | TemporalEnsembling) -> None:
    executor, commanded = armed(scheduler)
    chunks = {tick: chunk_of(sine_chunk((tick - 4) * TICK), (tick - 4) * TICK) for tick in range(5, 400, 20)}
    run(executor, commanded, range(400), chunks)
    assert executor.state is ExecutorState.RUNNING
    assert quality(commanded.positions).violations == 0
    times = np.arange(1000, 4000)
    wanted = HOME[0] + 0.2 * np.sin(2 * np.pi * 0.25 * (times + 1) * 1e-3)
    found = np.array(commanded.positions)[times, 0]
    assert np.abs(found - wanted).max() < 0.003  # at 0.31 rad/s, 3 mrad are 10 ms


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 100_000), ensembling=st.booleans())
def test_no_chunk_sequence_breaks_a_limit_or_keeps_the_arm_moving(seed: int, ensembling: bool) -> None:
    """Teleports, noise, references beyond the limits, gaps, wrong chunks: nothing at 1 kHz is out of limits."""
    random = np.random.default_rng(seed)
    start = random.uniform(LIMITS.position_min + 0.02, LIMITS.position_max - 0.02)
    executor, commanded = armed(TemporalEnsembling() if ensembling else RecedingHorizon(), start)
    executor.expect_chunks(True)
    chunks: dict[int, ActionChunk] = {}
    for sequence, tick in enumerate(sorted(random.choice(120, 12, replace=False))):
        horizon = int(random.integers(1, 40))
        walk = start + np.cumsum(random.normal(scale=random.choice([0.0, 0.02, 0.3]), size=(horizon, 7)), axis=0)
        actions = np.column_stack([walk + random.normal(scale=random.choice([0, 0.3, 3.0])), np.zeros(horizon)])
        if random.random() < 0.05:
            actions[random.integers(horizon), random.integers(8)] = random.choice([np.nan, np.inf])
        chunks[int(tick)] = chunk_of(actions, int(tick) * TICK - int(random.integers(0, 100)) * MS, sequence)
    run(executor, commanded, range(400), chunks)
    assert quality(commanded.positions).violations == 0
    assert np.ptp(np.array(commanded.positions)[-200:], axis=0) == pytest.approx(np.zeros(7), abs=1e-9)


def test_a_chunk_that_is_not_finite_stops_the_arm_and_latches() -> None:
    executor, commanded = armed(RecedingHorizon())
    bad = sine_chunk(30 * TICK)
    bad[3, 2] = np.nan
    chunks = {5: chunk_of(sine_chunk(0, amplitude=0.4), 0), 30: chunk_of(bad, 30 * TICK, sequence=7)}
    run(executor, commanded, range(150), chunks)
    assert executor.state is ExecutorState.FAULT
    assert executor.message.startswith("chunk 7: action 3 of 'fr3_joint3' is nan, expected a finite number")
    assert quality(commanded.positions).violations == 0
    assert np.ptp(np.array(commanded.positions)[-500:], axis=0) == pytest.approx(np.zeros(7))
    run(executor, commanded, range(150, 160), {150: chunk_of(sine_chunk(150 * TICK), 150 * TICK)})
    assert executor.state is ExecutorState.FAULT  # latched
    executor.disarm()
    assert executor.state is ExecutorState.READY


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("a",) * 8}, "expected the actions"),
        ({"actions": np.zeros((0, 8))}, "expected actions of shape"),
        ({"actions": np.zeros((5, 7))}, "expected actions of shape"),
        ({"step_ns": 0}, "expected a positive step duration"),
    ],
)
def test_a_malformed_chunk_is_a_fault(changes: dict, message: str) -> None:
    executor, _ = armed(RecedingHorizon())
    with pytest.raises(ChunkError, match=message):
        executor.submit(dataclasses.replace(chunk_of(sine_chunk(0), 0), **changes), 0)
    assert executor.state is ExecutorState.FAULT
    assert message in executor.message


@pytest.mark.parametrize(
    ("observation_ms", "offset", "message"),
    [
        (-500, 0.0, "its observation is 500 ms old, expected at most 140 ms"),
        (400, 0.0, "its observation lies 400 ms in the future"),
        (0, 0.8, "starts 0.80 from the arm in fr3_joint1, expected at most 0.5"),
    ],
)
def test_a_late_or_far_chunk_is_refused_and_the_arm_holds(observation_ms: int, offset: float, message: str) -> None:
    executor, commanded = armed(RecedingHorizon())
    chunk = chunk_of(np.tile([*(HOME + offset), 0.04], (30, 1)), observation_ms * MS)
    with pytest.raises(ChunkError, match=message):
        executor.submit(chunk, 0)
    assert executor.state is ExecutorState.ARMED
    run(executor, commanded, range(50), {})
    assert np.ptp(np.array(commanded.positions), axis=0) == pytest.approx(np.zeros(7))


def test_silence_while_a_policy_runs_is_a_fault_and_the_end_of_a_run_is_not() -> None:
    for expected, state in ((True, ExecutorState.FAULT), (False, ExecutorState.ARMED)):
        executor, commanded = armed(RecedingHorizon())
        executor.expect_chunks(expected)
        run(executor, commanded, range(200), {5: chunk_of(sine_chunk(0, amplitude=0.4), 0)})
        assert executor.state is state
        assert quality(commanded.positions).violations == 0
        assert np.ptp(np.array(commanded.positions)[-300:], axis=0) == pytest.approx(np.zeros(7))


def test_a_stop_is_planned_once_and_ends() -> None:
    executor, commanded = armed(RecedingHorizon())
    run(executor, commanded, range(30), {5: chunk_of(sine_chunk(0, amplitude=0.4), 0)})
    executor.fault(Fault(FaultName.STOPPED, "for the test"))
    sent = [executor.tick(tick * TICK) for tick in range(30, 130)]
    assert [output is not None and output.smoothed.changed for output in sent].count(True) == 1
    assert sent[0] is not None
    assert sent[-1] is not None
    assert sent[-1].smoothed.plan.end_ns == sent[0].smoothed.plan.end_ns < 100 * TICK


def on_a_slow_machine(executor: Executor, seed: int, withdraws: bool) -> list[np.ndarray]:
    """Four seconds in which a tick takes up to three times the lead, and a plan up to 5 ms to the controller."""
    random = np.random.default_rng(seed)
    plan = MotionPlan.at_rest(HOME, 0)
    arriving: list[tuple[int, MotionPlan]] = []
    positions: list[np.ndarray] = []
    next_tick_ms = next_chunk_ms = 0
    for now_ms in range(4000):
        while arriving and arriving[0][0] <= now_ms * MS:
            plan = arriving.pop(0)[1]
        positions.append(plan.state_at(now_ms * MS).position)
        if now_ms < next_tick_ms:
            continue
        now_ns = now_ms * MS
        if now_ms >= next_chunk_ms:
            next_chunk_ms = now_ms + 160
            actions = sine_chunk(now_ns, horizon=45, amplitude=0.3, hz=0.5)
            actions[:, :7] += random.normal(scale=0.02, size=7)  # chunks that do not agree
            executor.submit(chunk_of(actions, now_ns), now_ns)
        output = executor.tick(now_ns)
        assert output is not None
        took_ms = int(random.integers(20, 120)) if random.random() < 0.6 else 1
        sent_ns = now_ns + took_ms * MS
        if output.smoothed.changed and (not withdraws or executor.in_time(output, sent_ns)):
            arriving.append((sent_ns + int(random.integers(0, 5)) * MS, output.smoothed.plan))
        next_tick_ms = (now_ms + max(took_ms, 1)) // 10 * 10 + 10
    return positions


@pytest.mark.parametrize("seed", range(4))
def test_a_plan_that_comes_too_late_is_withdrawn_and_the_controller_never_jumps(seed: int) -> None:
    executor, _ = armed(RecedingHorizon(5.0))
    assert quality(on_a_slow_machine(executor, seed, withdraws=True)).violations == 0
    assert executor.counters.plans_withdrawn > 0
    assert executor.state is ExecutorState.RUNNING
    executor, _ = armed(RecedingHorizon(5.0))
    assert quality(on_a_slow_machine(executor, seed, withdraws=False)).violations > 0


def test_arming_needs_a_standing_arm_inside_its_limits() -> None:
    executor = Executor(FR3, RecedingHorizon())
    with pytest.raises(LimitError, match="fr3_joint3 at "):
        executor.arm(HOME, 0.4 * np.eye(7)[2], None, 0, shadow=False)
    with pytest.raises(LimitError, match=r"joint 3 at 0\.0000, expected -3\.0421 to -0\.1518"):
        executor.arm(np.zeros(7) + 0.6 * np.eye(7)[5], np.zeros(7), None, 0, shadow=False)
    executor.arm(HOME, np.zeros(7), None, 0, shadow=False)
    with pytest.raises(LimitError, match="expected the state READY"):
        executor.arm(HOME, np.zeros(7), None, 0, shadow=False)


def test_shadow_decides_everything_and_sends_nothing() -> None:
    executor = Executor(FR3, RecedingHorizon())
    executor.arm(HOME, np.zeros(7), None, 0, shadow=True)
    executor.submit(chunk_of(sine_chunk(0), 0), 0)
    outputs = [executor.tick(tick * TICK) for tick in range(20)]
    assert executor.state is ExecutorState.SHADOW
    assert all(output is not None and not output.send for output in outputs)
    assert any(output is not None and output.smoothed.kind == "tracking" for output in outputs)


def test_disarming_in_motion_leaves_a_stop_to_send() -> None:
    executor, commanded = armed(RecedingHorizon())
    run(executor, commanded, range(30), {5: chunk_of(sine_chunk(0, amplitude=0.4), 0)})
    output = executor.stop(30 * TICK)
    executor.disarm()
    assert output is not None
    assert executor.tick(31 * TICK) is None
    assert output.send
    assert output.smoothed.kind == "stop"
    assert output.smoothed.plan.end_ns < 30 * TICK + 1000 * MS


def test_the_gripper_is_told_changes_only_with_hysteresis() -> None:
    executor, _ = armed(RecedingHorizon())
    told = []
    for tick, value in enumerate([0.04, 0.04, 0.021, 0.019, 0.017, 0.0, 0.02, 0.0215, 0.03, 0.04]):
        now_ns = tick * TICK
        executor.submit(chunk_of(np.tile([*HOME, value], (3, 1)), now_ns), now_ns)
        output = executor.tick(now_ns)
        assert output is not None
        told.append(output.gripper)
    assert told == [0.04, None, None, None, 0.0, None, None, None, 0.04, None]


def test_temporal_ensembling_equals_the_reference() -> None:
    folder = ROOT / "test" / "data" / "golden"
    if not (folder / "temporal_ensemble.npz").exists():
        pytest.fail("test/data/golden/temporal_ensemble.npz is missing")
    spec = json.loads((folder / "temporal_ensemble.json").read_text())
    golden = np.load(folder / "temporal_ensemble.npz", allow_pickle=False)
    chunks = golden["in.chunks"]
    for queried, expected in (
        (np.ones(len(chunks), bool), "out.action"),
        (golden["in.queried"], "out.action_sparse_queries"),
    ):
        scheduler = TemporalEnsembling(spec["config"]["coefficient"])
        for step, actions in enumerate(chunks):
            if queried[step]:
                names = tuple(f"a{k}" for k in range(actions.shape[1]))
                scheduler.submit(ActionChunk(actions, names, step * STEP, STEP, step * STEP), step * STEP)
            reference = scheduler.reference_at(step * STEP)
            assert reference is not None
            assert reference.position == pytest.approx(golden[expected][step], abs=1e-6)


def test_the_smoother_takes_out_noise_and_keeps_constant_acceleration() -> None:
    times = np.arange(30)[:, None] / 30
    parabola = 0.3 * times**2 + np.zeros((30, 8))
    curve = ChunkCurve(chunk_of(parabola, 0), 10.0)
    assert curve.at(15 * STEP).position == pytest.approx(parabola[15], abs=1e-9)
    noisy = parabola + np.random.default_rng(0).normal(scale=0.002, size=(30, 8))
    accelerations = [
        np.array([ChunkCurve(chunk_of(noisy, 0), roughness).at(k * STEP).acceleration for k in range(3, 27)])
        for roughness in (0.0, 10.0)
    ]
    assert np.std(accelerations[1]) < 0.2 * np.std(accelerations[0])
