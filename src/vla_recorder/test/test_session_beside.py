"""What is recorded beside the steps: streams at their own rate, and what a policy sent."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorder_support import FR3_SIM, KNOWN, GatedWriter, begin, feed, patient_writer, settled

from vla_core.action_chunk import ActionChunk
from vla_core.chunk_times import ChunkTimes
from vla_core.episodes import CommandState, EpisodeReader, NativeSamples, RolloutChunk
from vla_core.episodes.synthetic import START_NS
from vla_core.errors import EpisodeError
from vla_core.observation import Sample
from vla_recorder.beside import Commanding
from vla_recorder.session import RecorderSession
from vla_recorder.status import RecorderState

MS = 1_000_000
NATIVE = dataclasses.replace(
    FR3_SIM, streams={**FR3_SIM.streams, "fingers": dataclasses.replace(FR3_SIM.streams["fingers"], native=True)}
)


def sample(time_ns: int) -> Sample:
    return Sample(time_ns, time_ns + 300_000, np.full(NATIVE.streams["fingers"].size, time_ns * 1e-9))


def chunk(sequence: int, **changes: object) -> ActionChunk:
    actions = np.full((8, len(FR3_SIM.action_names)), float(sequence))
    values = {"actions": actions, "start_ns": START_NS, "step_ns": FR3_SIM.step_ns, "observation_ns": START_NS}
    return ActionChunk(
        **{**values, "names": FR3_SIM.action_names, "policy_id": "act-1", "sequence": sequence, **changes}
    )


@pytest.fixture
def recording(tmp_path: Path) -> tuple[RecorderSession, GatedWriter]:
    """A session that is recording to a writer that keeps what it gets."""
    writer = GatedWriter(tmp_path / "episode_0.hdf5")
    writer.gate.set()
    session = RecorderSession(tmp_path, dataclasses.replace(KNOWN, embodiment=NATIVE), lambda *_: writer)
    return session, writer


def stamps(writer: GatedWriter) -> list[int]:
    return [int(stamp) for record in writer.records if isinstance(record, NativeSamples) for stamp in record.stamps_ns]


# -- streams at their own rate ----------------------------------------------------------------------------------------------


def test_every_message_from_the_first_step_to_the_stop_is_kept(recording: tuple[RecorderSession, GatedWriter]) -> None:
    """A step is decided 100 ms after its time: its samples are older than the beginning of the episode."""
    session, writer = recording
    first = START_NS + 10 * FR3_SIM.step_ns
    times = [START_NS + index * MS for index in range(3000)]
    start, stop = first + 100 * MS, first + 1100 * MS
    for time in times:
        if time == start // MS * MS:
            begin(session)
            feed(session, 1, first=10)
        session.beside.sample("fingers", sample(time))
        session.beside.sample("joints", sample(time))  # not kept at its own rate
        if time > start and (time - START_NS) // FR3_SIM.step_ns != (time - MS - START_NS) // FR3_SIM.step_ns:
            feed(session, 1, first=(time - 100 * MS - START_NS) // FR3_SIM.step_ns)
        if time >= stop:
            session.stop().result()
            break
    expected = [time for time in times if first - FR3_SIM.step_ns <= time <= time and time <= stop // MS * MS + MS]
    assert stamps(writer)[0] == expected[0]
    assert stamps(writer) == expected[: len(stamps(writer))]
    assert stamps(writer)[-1] >= stop
    for record in writer.records:
        assert isinstance(record, NativeSamples)
        assert record.stream == "fingers"
        np.testing.assert_array_equal(record.receive_ns, record.stamps_ns + 300_000)
        np.testing.assert_array_equal(record.values[:, 0], record.stamps_ns * 1e-9)


@given(waits=st.lists(st.integers(1, 50), min_size=1, max_size=400))
def test_what_waits_for_an_episode_is_bounded(waits: list[int]) -> None:
    session = RecorderSession(Path("nowhere"), dataclasses.replace(KNOWN, embodiment=NATIVE))
    time = START_NS
    for wait in waits:
        time += wait * 10 * MS
        session.beside.sample("fingers", sample(time))
        kept = session.beside._samples["fingers"]
        assert kept[-1].stamp_ns - kept[0].stamp_ns <= 2_000 * MS


def test_samples_reach_the_writer_though_no_step_comes(recording: tuple[RecorderSession, GatedWriter]) -> None:
    session, writer = recording
    begin(session)
    feed(session, 1)
    for index in range(1200):
        session.beside.sample("fingers", sample(START_NS + index * MS))
    assert len(stamps(writer)) >= 1000


def test_without_an_episode_nothing_is_written(recording: tuple[RecorderSession, GatedWriter]) -> None:
    session, writer = recording
    session.beside.sample("fingers", sample(START_NS))
    session.beside.chunk(chunk(0), START_NS)
    begin(session)
    session.beside.sample("fingers", sample(START_NS + MS))  # no step so far
    session.stop("discarded").result()
    session.beside.chunk(chunk(1), START_NS)
    assert writer.records == []


# -- rollouts ---------------------------------------------------------------------------------------------------------------


def test_a_chunk_is_recorded_with_what_was_done_with_it(recording: tuple[RecorderSession, GatedWriter]) -> None:
    session, writer = recording
    begin(session)
    says = [
        Commanding(),
        Commanding(True, "receding_horizon"),
        Commanding(False, "receding_horizon"),
        Commanding(True, "temporal_ensembling", "act-1"),
    ]
    for number, commanding in enumerate(says):
        session.beside.commanding = commanding
        session.beside.chunk(chunk(number), START_NS + number)
    records = [record for record in writer.records if isinstance(record, RolloutChunk)]
    assert [(r.chunk.sequence, r.receive_ns - START_NS, r.strategy, r.shadow) for r in records] == [
        (0, 0, "", True),
        (1, 1, "receding_horizon", False),
        (2, 2, "receding_horizon", True),
        (3, 3, "temporal_ensembling", False),
    ]


def test_a_chunk_for_another_robot_is_left_out_and_explained(recording: tuple[RecorderSession, GatedWriter]) -> None:
    session, writer = recording
    begin(session)
    session.beside.chunk(chunk(0, names=("a", "b")), START_NS)
    assert writer.records == []
    assert session.status().message.startswith(
        "1 action chunks not recorded: chunk 0: expected the actions ['fr3_joint1'"
    )
    session.stop("discarded").result()
    begin(session)
    assert session.status().message == ""


def test_what_command_node_did_is_recorded_with_each_change(recording: tuple[RecorderSession, GatedWriter]) -> None:
    session, writer = recording
    said = [
        CommandState(START_NS, "ready"),
        CommandState(START_NS + 1, "armed"),
        CommandState(START_NS + 2, "running"),
        CommandState(START_NS + 3, "running", "chunk 3: its observation is old"),
        CommandState(START_NS + 4, "running", intervention=True),
        CommandState(START_NS + 5, "fault", "no usable action"),
        CommandState(START_NS + 6, "fault", "no usable action"),
    ]
    for state in said[:2]:
        session.beside.state(state)
    begin(session)
    for state in said[2:]:
        session.beside.state(state)
    session.stop("discarded").result()
    session.beside.state(CommandState(START_NS + 7, "ready"))
    assert writer.records == [said[1], said[2], said[4], said[5]]


def test_where_the_time_of_a_chunk_went_is_recorded(recording: tuple[RecorderSession, GatedWriter]) -> None:
    session, writer = recording
    times = ChunkTimes("act-1", 3, *range(START_NS, START_NS + 8))
    session.beside.times(times)
    begin(session)
    session.beside.times(times)
    assert writer.records == [times]


def test_the_policy_that_drives_is_that_of_the_episode(tmp_path: Path) -> None:
    session = RecorderSession(tmp_path, dataclasses.replace(KNOWN, policy_id=""), patient_writer)
    found = []
    for commanding, asked in (
        (Commanding(), ""),
        (Commanding(True, "receding_horizon", "act-1"), ""),
        (Commanding(True, "receding_horizon", "act-1"), "pi0"),
        (Commanding(True, "receding_horizon", ""), ""),
    ):
        session.beside.commanding = commanding
        begin(session, policy_id=asked)
        feed(session, 2)
        path = session.stop().result().path
        assert path is not None
        with EpisodeReader(path) as episode:
            found.append(episode.info.metadata.policy_id)
    assert found == ["", "act-1", "pi0", ""]


def test_a_step_says_whether_a_policy_drove_at_its_time(recording: tuple[RecorderSession, GatedWriter]) -> None:
    """A step is decided a while after its time, when command_node may do something else by then."""
    session, writer = recording
    begin(session)
    step_ns = FR3_SIM.step_ns
    said = [
        Commanding(True, "receding_horizon", "", START_NS),  # armed, and holds
        Commanding(True, "receding_horizon", "act-1", START_NS + 2 * step_ns),
        Commanding(True, "receding_horizon", "act-1", START_NS + 3 * step_ns),
        Commanding(False, "receding_horizon", "", START_NS + 5 * step_ns),  # a human takes over
        Commanding(True, "receding_horizon", "act-1", START_NS + 7 * step_ns + 1),
    ]
    for index in range(12):
        for commanding in said:
            if commanding.stamp_ns // step_ns == (START_NS + index * step_ns) // step_ns:
                session.beside.commanding = commanding
        if index >= 2:
            feed(session, 1, first=index - 2)
    drove = [step.policy_drives for step in writer.steps]
    assert drove == [False, False, True, True, True, False, False, False, True, True]


def test_a_rollout_in_the_file_is_what_the_policy_sent(tmp_path: Path) -> None:
    session = RecorderSession(tmp_path, dataclasses.replace(KNOWN, embodiment=NATIVE), patient_writer)
    session.beside.commanding = Commanding(True, "receding_horizon", "act-1")
    begin(session)
    for index in range(4):
        feed(session, 1, first=index)
        session.beside.sample("fingers", sample(START_NS + index * MS))
        session.beside.chunk(chunk(index, inference_latency_ns=40 * MS), START_NS + index)
    path = session.stop().result().path
    assert path is not None
    with EpisodeReader(path) as episode:
        rollout, native = episode.rollout, episode.native("fingers")
        assert np.all(episode.policy_drives)
    assert rollout is not None
    np.testing.assert_array_equal(rollout.actions[:, 0, 0], [0.0, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(native.stamps_ns, [START_NS + index * MS for index in range(4)])


def test_a_writer_that_failed_ends_the_episode_with_the_next_step(
    recording: tuple[RecorderSession, GatedWriter],
) -> None:
    session, writer = recording
    begin(session)
    feed(session, 1)
    writer.error = EpisodeError("No space left on device")
    session.beside.chunk(chunk(0), START_NS)
    assert session.status().state == RecorderState.RECORDING
    feed(session, 1, first=1)
    status = settled(session)
    assert (status.state, status.message) == (RecorderState.FAILED, "No space left on device")
