"""Replaying an episode: its actions as chunks over time, and what is refused."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.action_chunk import validate_chunk
from vla_core.chunking import RecedingHorizon
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.embodiment.schema import Field
from vla_core.episodes import EpisodeMetadata, Hdf5EpisodeWriter
from vla_core.episodes.synthetic import START_NS
from vla_core.errors import EmbodimentMismatch, EpisodeError
from vla_core.execution import Executor, ExecutorState
from vla_core.observation import Sample, Step
from vla_policy_node.replay import ActionReplay, ExecutionWatch, RecordedActions, ReplayRefused, read_actions

FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3_sim.yaml")
MS = 1_000_000
HOME = np.array([0.0, -0.2328, 0.0, -2.4594, 0.0, 2.2259, 0.7854])
NOW = 5_000 * MS


def actions_at(seconds: np.ndarray) -> np.ndarray:
    """A smooth motion of every joint, and a gripper that closes after a second."""
    joints = HOME + 0.1 * np.sin(2.0 * seconds[:, None] + np.arange(7))
    return np.concatenate([joints, np.where(seconds < 1.0, 0.04, 0.0)[:, None]], axis=1)


def recorded(times_ns: np.ndarray, embodiment: Embodiment = FR3) -> RecordedActions:
    return RecordedActions("episode_0", times_ns, actions_at(times_ns * 1e-9), embodiment)


def at_the_step(count: int = 90) -> np.ndarray:
    return FR3.step_ns * np.arange(count, dtype=np.int64)


def write_episode(
    folder: Path,
    stamps_ns: np.ndarray,
    embodiment: Embodiment = FR3,
    change: Callable[[int, np.ndarray], np.ndarray] = lambda index, action: action,
) -> Path:
    """An episode whose actions are those of :func:`actions_at`, at stamps from START_NS on."""
    cameras = {role: dataclasses.replace(c, height=2, width=2) for role, c in embodiment.cameras.items()}
    known = dataclasses.replace(embodiment, cameras=cameras)
    writer = Hdf5EpisodeWriter(folder, EpisodeMetadata("put it there", "sim", known))
    for index, (stamp_ns, action) in enumerate(zip(stamps_ns, actions_at(stamps_ns * 1e-9), strict=True)):
        action = change(index, action)
        values = {name: np.zeros(stream.size) for name, stream in known.streams.items()}
        values |= {"arm_command": action[:7], "gripper_command": action[7:]}
        values |= {role: np.zeros((2, 2, 3), np.uint8) for role in known.cameras}
        stamp_ns = START_NS + int(stamp_ns)
        writer.append(Step(stamp_ns, {name: Sample(stamp_ns, stamp_ns, value) for name, value in values.items()}))
    return writer.finish("success")


# -- chunks over time ------------------------------------------------------------------------------------------------------


@given(offset_ms=st.integers(0, 4_500), start_ns=st.integers(0, 2**60))
def test_an_action_is_meant_when_it_was_recorded_whatever_the_chunk(offset_ms: int, start_ns: int) -> None:
    times_ns = at_the_step()
    replay = ActionReplay(recorded(times_ns), start_ns)
    chunk = replay.chunk_at(start_ns + offset_ms * MS)
    validate_chunk(chunk, FR3.action_names)
    meant_ns = chunk.times_ns() - start_ns
    rows = np.minimum(meant_ns // FR3.step_ns, len(times_ns) - 1)  # the last action is held
    np.testing.assert_array_equal(meant_ns % FR3.step_ns, 0)
    np.testing.assert_allclose(chunk.actions, actions_at(times_ns * 1e-9)[rows], atol=1e-12)


@given(offset_ms=st.integers(0, 3_400))
def test_a_chunk_reaches_from_now_farther_than_a_plan_looks_ahead(offset_ms: int) -> None:
    replay = ActionReplay(recorded(at_the_step()), NOW)
    now_ns = NOW + offset_ms * MS
    chunk = replay.chunk_at(now_ns)
    assert chunk.start_ns <= now_ns
    assert chunk.end_ns >= min(replay.end_ns, now_ns + round(4 * FR3.motion.look_ahead_ms * MS))
    assert chunk.end_ns <= now_ns + 600 * MS  # so that a cancelled replay stops soon
    assert chunk.observation_ns == now_ns


@given(jitter=st.lists(st.integers(-300_000, 300_000), min_size=60, max_size=60), dropped=st.sets(st.integers(1, 58)))
@settings(max_examples=50)
def test_uneven_stamps_and_dropped_steps_do_not_bend_the_motion(jitter: list[int], dropped: set[int]) -> None:
    dropped = {step for step in dropped if step % 3 == 0}  # never so many together that a hole is too long
    kept = [step for step in range(60) if step not in dropped]
    times_ns = (at_the_step(60) + np.array(jitter, dtype=np.int64))[kept]
    times_ns -= times_ns[0]
    replay = ActionReplay(recorded(times_ns), 0)
    for now_ns in range(0, replay.end_ns, 400 * MS):
        chunk = replay.chunk_at(now_ns)
        seconds = np.minimum(chunk.times_ns(), times_ns[-1]) * 1e-9
        np.testing.assert_allclose(chunk.actions[:, :7], actions_at(seconds)[:, :7], atol=2e-4)


@given(speed=st.floats(0.1, 4.0))
def test_speed_stretches_time(speed: float) -> None:
    recording = recorded(at_the_step())
    replay = ActionReplay(recording, NOW, speed)
    playing_s = recording.duration_ns * 1e-9 / speed
    assert (replay.end_ns - NOW) * 1e-9 == pytest.approx(playing_s + 0.5, abs=0.04)
    chunk = replay.chunk_at(NOW + round(playing_s / 2 * 1e9))
    assert chunk.step_ns == FR3.step_ns
    seconds = np.minimum((chunk.times_ns() - NOW) * speed, recording.duration_ns) * 1e-9
    np.testing.assert_allclose(chunk.actions[:, :7], actions_at(seconds)[:, :7], atol=1e-5)


def test_the_gripper_closes_at_the_step_at_which_it_closed() -> None:
    times_ns = at_the_step()
    replay = ActionReplay(recorded(times_ns), 0)
    chunk = replay.chunk_at(900 * MS)
    closing = int(np.argmax(actions_at(times_ns * 1e-9)[:, 7] == 0.0))
    assert chunk.times_ns()[np.argmax(chunk.actions[:, 7] == 0.0)] == times_ns[closing]
    assert set(chunk.actions[:, 7]) == {0.0, 0.04}  # nothing between open and closed


def test_sequence_numbers_count_and_the_policy_says_what_is_played() -> None:
    replay = ActionReplay(recorded(at_the_step()), NOW)
    chunks = [replay.chunk_at(NOW + k * 100 * MS) for k in range(3)]
    assert [chunk.sequence for chunk in chunks] == [0, 1, 2]
    assert {chunk.policy_id for chunk in chunks} == {"replay/episode_0"}


def test_what_has_been_played_is_counted() -> None:
    replay = ActionReplay(recorded(at_the_step()), NOW)
    assert replay.steps == 90
    assert [replay.played(NOW + k * FR3.step_ns) for k in (0, 1, 88, 89, 200)] == [1, 2, 89, 90, 90]


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ReplayRefused, match="speed: expected a positive number"):
        ActionReplay(recorded(at_the_step()), NOW, speed)


def play(replay: ActionReplay, executor: Executor, until_ns: int, stop_ns: int | None = None) -> dict[int, np.ndarray]:
    """Ticks an executor at 100 Hz with a chunk every 0.1 s; chunks end at ``stop_ns``. Returns where it commanded to be."""
    commanded = {}
    for now_ns in range(replay.start_ns, until_ns, 10 * MS):
        going_on = now_ns < replay.end_ns and (stop_ns is None or now_ns < stop_ns)
        if now_ns % (100 * MS) == 0 and going_on:
            executor.submit(replay.chunk_at(now_ns), now_ns)
        executor.tick(now_ns)
        state = executor.commanded_at(now_ns)
        assert state is not None
        commanded[now_ns] = state.position
    return commanded


def armed(at: np.ndarray, now_ns: int) -> Executor:
    executor = Executor(FR3, RecedingHorizon(roughness=5.0))
    executor.arm(at, np.zeros(7), 0.04, now_ns, shadow=False)
    return executor


def test_a_command_node_follows_a_replay_and_holds_at_its_end() -> None:
    recording = recorded(at_the_step())
    executor = armed(recording.actions[0, :7], NOW)
    replay = ActionReplay(recording, NOW)
    commanded = play(replay, executor, replay.end_ns + 500 * MS)
    for now_ns, position in commanded.items():
        if now_ns > NOW + 300 * MS and now_ns < NOW + recording.duration_ns - 200 * MS:
            np.testing.assert_allclose(position, actions_at(np.array([(now_ns - NOW) * 1e-9]))[0, :7], atol=2e-3)
    np.testing.assert_allclose(position, recording.actions[-1, :7], atol=1e-3)
    assert executor.state is ExecutorState.ARMED  # a normal end, not starvation
    assert executor.gripper_target == 0.0
    assert executor.counters.chunks_refused == 0


def test_a_cancelled_replay_comes_to_rest_soon() -> None:
    recording = recorded(at_the_step(300))
    executor = armed(recording.actions[0, :7], NOW)
    replay = ActionReplay(recording, NOW)
    play(replay, executor, NOW + 3_000 * MS, stop_ns=NOW + 2_000 * MS)
    state = executor.commanded_at(NOW + 3_000 * MS)
    assert state is not None
    assert np.allclose(state.velocity, 0.0)
    assert executor.state is ExecutorState.ARMED


# -- reading ---------------------------------------------------------------------------------------------------------------


def test_the_actions_of_an_episode_are_read_without_its_end_steps(tmp_path: Path) -> None:
    embodiment = dataclasses.replace(FR3, steps=dataclasses.replace(FR3.steps, end_steps=5))
    path = write_episode(tmp_path, at_the_step(20), embodiment)
    recording = read_actions(path, FR3)
    np.testing.assert_array_equal(recording.times_ns, at_the_step(20))
    np.testing.assert_array_equal(recording.actions, actions_at(at_the_step(20) * 1e-9))
    assert recording.duration_ns == 19 * FR3.step_ns


def test_an_episode_of_another_robot_is_refused(tmp_path: Path) -> None:
    other = dataclasses.replace(FR3.streams["gripper_command"], fields={"position": Field("data", "m", ("hand",))})
    other = dataclasses.replace(FR3, streams={**FR3.streams, "gripper_command": other})
    other = dataclasses.replace(other, gripper=dataclasses.replace(FR3.gripper, action="hand"))
    path = write_episode(tmp_path, at_the_step(5), other)
    with pytest.raises(EmbodimentMismatch, match="does not fit 'fr3_sim'"):
        read_actions(path, FR3)


def test_a_truncated_episode_and_no_episode_at_all_are_refused(tmp_path: Path) -> None:
    path = write_episode(tmp_path, at_the_step(20))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(EpisodeError, match="expected a whole HDF5 file"):
        read_actions(path, FR3)
    with pytest.raises(EpisodeError, match="expected an episode file, found nothing"):
        read_actions(tmp_path / "nothing.hdf5", FR3)


def test_one_action_is_nothing_to_play(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match="expected at least two actions to play, found 1"):
        read_actions(write_episode(tmp_path, at_the_step(1)), FR3)


def test_an_action_that_is_not_a_number_is_named(tmp_path: Path) -> None:
    def broken(index: int, action: np.ndarray) -> np.ndarray:
        return np.where(np.arange(8) == 3, np.nan, action) if index == 4 else action

    with pytest.raises(EpisodeError, match="step 4: expected a finite action, found nan for 'fr3_joint4'"):
        read_actions(write_episode(tmp_path, at_the_step(10), change=broken), FR3)


@given(hole_ms=st.integers(320, 5_000))
@settings(max_examples=5, deadline=None)
def test_a_hole_in_the_recording_is_not_bridged(hole_ms: int) -> None:
    times_ns = at_the_step(20)
    times_ns[12:] += (hole_ms - 33) * MS
    with tempfile.TemporaryDirectory() as folder:
        path = write_episode(Path(folder), times_ns)
        with pytest.raises(EpisodeError, match=f"found none for {hole_ms} ms after step 11"):
            read_actions(path, FR3)


# -- whether it is executed ------------------------------------------------------------------------------------------------


def watching(began_ns: int = NOW) -> ExecutionWatch:
    watch = ExecutionWatch()
    watch.restart(began_ns)
    return watch


def test_a_replay_that_is_executed_goes_on() -> None:
    watch = watching()
    for k in range(1, 20):
        assert watch.note(NOW + k * 100 * MS, ExecutorState.RUNNING, "", accepted=k, refused=0) == ""
        assert watch.silent(NOW + k * 100 * MS + 99 * MS) == ""


def test_a_start_too_far_from_the_arm_ends_with_the_command_nodes_reason() -> None:
    watch = watching()
    reason = "chunk 1: starts 0.83 from the arm in fr3_joint1, expected at most 0.5"
    assert watch.note(NOW + 100 * MS, ExecutorState.ARMED, reason, accepted=0, refused=1) == ""
    assert reason in watch.note(NOW + 200 * MS, ExecutorState.ARMED, reason, accepted=0, refused=2)


def test_a_chunk_that_was_late_once_does_not_end_a_replay() -> None:
    watch = watching()
    watch.note(NOW + 100 * MS, ExecutorState.RUNNING, "", accepted=1, refused=0)
    assert watch.note(NOW + 200 * MS, ExecutorState.RUNNING, "late", accepted=2, refused=1) == ""


def test_a_disarmed_or_stopped_command_node_ends_a_replay() -> None:
    watch = watching()
    assert watch.note(NOW - 1, ExecutorState.READY, "", 0, 0) == ""  # before it began
    assert watch.note(NOW + 100 * MS, ExecutorState.READY, "", 0, 0) == ""
    assert "found it disarmed" in watch.note(NOW + 200 * MS, ExecutorState.READY, "", 0, 0)
    assert (
        watching().note(NOW + 100 * MS, ExecutorState.FAULT, "too fast", 0, 0) == "the command_node stopped: too fast"
    )


def test_a_replay_that_nobody_executes_ends() -> None:
    watch = watching()
    assert watch.silent(NOW + 1_000 * MS) == ""
    assert "heard of none" in watch.silent(NOW + 1_001 * MS)
