"""The recorder's logic: states, counts, and what happens when something cannot be written."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from recorder_support import (
    FR3_SIM,
    KNOWN,
    FakeStreams,
    GatedWriter,
    begin,
    feed,
    leave_partial,
    patient_writer,
    settled,
    without,
)

from vla_core.alignment import StreamStatus
from vla_core.episodes import BackgroundEpisodeWriter, EpisodeMetadata, EpisodeReader, Hdf5EpisodeWriter, list_episodes
from vla_core.episodes.synthetic import synthetic_step
from vla_core.errors import EpisodeError
from vla_core.observation import Step
from vla_recorder.files import background_writer
from vla_recorder.session import RecorderRefused, RecorderSession
from vla_recorder.status import PromptCount, RecorderState, RecorderStatus


@pytest.fixture
def session(tmp_path: Path) -> RecorderSession:
    return RecorderSession(tmp_path, KNOWN, patient_writer)


def test_an_episode_from_start_to_stop(session: RecorderSession, tmp_path: Path) -> None:
    feed(session, 3)
    assert session.status() == RecorderStatus(RecorderState.IDLE, prompt="pick up the cube")
    path = begin(session, seed=7)
    assert path == tmp_path / "episode_0.hdf5"
    feed(session, 31, first=3)
    status = session.status()
    assert (status.state, status.steps, status.outcome) == (RecorderState.RECORDING, 31, "success")
    assert status.duration_s == pytest.approx(1.0, abs=1e-6)
    assert status.episode_path == str(path)
    ended = session.stop().result()
    assert (ended.path, ended.outcome, ended.steps) == (path, "success", 31)
    status = session.status()
    assert (status.state, status.episodes, status.steps, status.episode_path) == (RecorderState.IDLE, 1, 0, str(path))
    with EpisodeReader(path) as episode:
        assert episode.info.metadata == dataclasses.replace(KNOWN, seed=7)
        assert list(episode.stamps_ns) == [synthetic_step(FR3_SIM, i).stamp_ns for i in range(3, 34)]


@pytest.mark.parametrize(
    ("marked", "asked", "expected"),
    [
        (False, "", "success"),
        (True, "", "failure"),
        (False, "failure", "failure"),
        (True, "success", "success"),
    ],
)
def test_the_outcome_is_what_was_asked_for_or_marked(
    session: RecorderSession, marked: bool, asked: str, expected: str
) -> None:
    begin(session)
    feed(session, 2)
    if marked:
        session.mark("failure")
        assert session.status().outcome == "failure"
    path = session.stop(asked).result().path
    assert path is not None
    with EpisodeReader(path) as episode:
        assert episode.info.outcome == expected


def test_a_mark_does_not_outlive_its_episode(session: RecorderSession) -> None:
    begin(session)
    feed(session, 2)
    session.mark("failure")
    session.stop().result()
    begin(session)
    assert session.status().outcome == "success"
    session.stop("discarded").result()


def test_a_discarded_episode_leaves_nothing(session: RecorderSession, tmp_path: Path) -> None:
    begin(session)
    feed(session, 20)
    ended = session.stop("discarded").result()
    assert (ended.path, ended.outcome, ended.steps) == (None, "discarded", 0)
    assert list(tmp_path.iterdir()) == []
    assert session.status() == RecorderStatus(RecorderState.IDLE, prompt="pick up the cube")
    assert begin(session).name == "episode_0.hdf5"
    session.stop("discarded").result()
    assert list(tmp_path.iterdir()) == []


def test_steps_that_lack_a_stream_are_dropped_and_explained(session: RecorderSession) -> None:
    begin(session)
    feed(session, 5)
    session.step(without(synthetic_step(FR3_SIM, 5), "wrist"))
    session.step(without(synthetic_step(FR3_SIM, 6), "wrist", "fingers"))
    feed(session, 1, first=7)
    status = session.status()
    assert (status.steps, status.dropped_steps) == (6, 2)
    assert status.message == "2 steps dropped: wrist missing in 2, fingers missing in 1"
    path = session.stop().result().path
    assert path is not None
    with EpisodeReader(path) as episode:
        assert (len(episode), episode.info.dropped_steps) == (6, 2)
    assert session.status().message == ""


def test_an_episode_without_steps_says_which_stream_is_to_blame(session: RecorderSession, tmp_path: Path) -> None:
    begin(session)
    for index in range(30):
        session.step(without(synthetic_step(FR3_SIM, index), "scene"))
    with pytest.raises(EpisodeError, match=r"episode_0.hdf5 has no steps \(30 steps dropped: scene missing in 30\)"):
        session.stop().result()
    status = session.status()
    assert status.state == RecorderState.FAILED
    assert "scene missing in 30" in status.message
    assert list(tmp_path.iterdir()) == []
    begin(session)
    assert session.status().state == RecorderState.RECORDING
    with pytest.raises(EpisodeError, match="no step came from the streams"):
        session.stop().result()


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (lambda s: s.stop(), "cannot stop: no episode is being recorded"),
        (lambda s: s.stop("discarded"), "cannot discard: no episode is being recorded"),
        (lambda s: s.mark("failure"), "cannot mark a failure: no episode is being recorded"),
    ],
)
def test_what_needs_a_running_episode_is_refused_without_one(session: RecorderSession, operation, message: str) -> None:
    with pytest.raises(RecorderRefused, match=message):
        operation(session)
    assert session.status().state == RecorderState.IDLE


def test_a_running_episode_is_not_started_again_and_no_other_outcome_exists(session: RecorderSession) -> None:
    begin(session)
    feed(session, 1)
    with pytest.raises(RecorderRefused, match=r"cannot start: episode_0.hdf5 is still being recorded"):
        begin(session)
    with pytest.raises(RecorderRefused, match="expected 'success', 'failure' or 'discarded', found 'great'"):
        session.stop("great")
    assert session.status().state == RecorderState.RECORDING
    session.stop().result()


@pytest.fixture
def gated(tmp_path: Path) -> tuple[RecorderSession, GatedWriter]:
    writer = GatedWriter(tmp_path / "episode_0.hdf5")
    return RecorderSession(tmp_path, KNOWN, make_writer=lambda folder, metadata: writer), writer


def test_while_a_file_is_completed_the_recorder_answers_and_takes_no_steps(
    gated: tuple[RecorderSession, GatedWriter],
) -> None:
    session, writer = gated
    begin(session)
    feed(session, 4)
    ending = session.stop()
    assert session.status().state == RecorderState.FINISHING
    assert session.status().queue_steps == 2
    feed(session, 4, first=4)
    with pytest.raises(RecorderRefused, match=r"cannot start: episode_0.hdf5 is still being finished"):
        begin(session)
    with pytest.raises(RecorderRefused):
        session.stop()
    writer.gate.set()
    assert ending.result().steps == 4
    assert len(writer.prompts) == 4
    assert session.status().state == RecorderState.IDLE


def test_a_step_that_cannot_be_written_fails_the_episode_and_not_the_recorder(
    gated: tuple[RecorderSession, GatedWriter],
) -> None:
    session, writer = gated
    begin(session)
    feed(session, 4)
    writer.error = EpisodeError("episode_0.hdf5.partial: cannot write step 4: No space left on device")
    feed(session, 3, first=4)
    status = settled(session)
    assert (status.state, status.message) == (RecorderState.FAILED, str(writer.error))
    with pytest.raises(RecorderRefused):
        session.stop()
    writer.error = None
    begin(session)
    assert session.status().state == RecorderState.RECORDING
    assert session.status().message == ""


def test_an_end_that_cannot_be_written_is_told_to_whoever_waits_and_to_the_operator(
    gated: tuple[RecorderSession, GatedWriter],
) -> None:
    session, writer = gated
    begin(session)
    feed(session, 4)
    writer.error = EpisodeError("no space left")
    writer.gate.set()
    with pytest.raises(EpisodeError, match="no space left"):
        session.stop().result()
    status = settled(session)
    assert (status.state, status.message, status.episodes) == (RecorderState.FAILED, "no space left", 0)


def test_what_is_on_the_disk_of_a_lost_episode_is_recovered_at_once(tmp_path: Path) -> None:
    class FailingWriter(Hdf5EpisodeWriter):
        """Meets with an error of the disk at its sixth step."""

        def append(self, step: Step, prompt: str = "") -> None:
            if len(self) == 5:
                self.flush()
                self._let_go()
                raise EpisodeError("cannot write step 5: Input/output error")
            super().append(step, prompt)

    def make_writer(folder: Path, metadata: EpisodeMetadata) -> BackgroundEpisodeWriter:
        return BackgroundEpisodeWriter(FailingWriter(folder, metadata), when_full="wait")

    session = RecorderSession(tmp_path, KNOWN, make_writer)
    path = begin(session)
    index = 0
    while session.status().state == RecorderState.RECORDING:
        feed(session, 1, first=index)
        index += 1
    status = settled(session)
    assert status.state == RecorderState.FAILED
    assert status.message.startswith("cannot write step 5: Input/output error; episode_0.hdf5: recovered 5 steps")
    with EpisodeReader(path) as episode:
        assert (len(episode), episode.info.outcome) == (5, "unknown")
    assert begin(session).name == "episode_1.hdf5"
    session.stop("discarded").result()


def test_a_recorder_that_starts_recovers_what_an_earlier_one_left(tmp_path: Path) -> None:
    folder = tmp_path / "episodes"
    folder.mkdir()
    leave_partial(folder / "episode_3.hdf5", KNOWN, 4)
    session = RecorderSession(folder, KNOWN, patient_writer)
    session.look_through()
    status = settled(session)
    assert status.state == RecorderState.IDLE
    assert status.message == "episode_3.hdf5: 4 steps, recovered without its journal from a recording that was cut off"
    assert [path.name for path in folder.iterdir()] == ["episode_3.hdf5"]
    assert begin(session).name == "episode_4.hdf5"
    assert session.status().message == ""
    session.stop("discarded").result()


def test_a_folder_that_cannot_be_written_is_an_error_of_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    session = RecorderSession(tmp_path / "file", KNOWN)
    with pytest.raises(EpisodeError, match="cannot begin an episode"):
        session.start().result()
    assert session.status().state == RecorderState.FAILED


def test_the_streams_of_the_episode_are_in_its_file(tmp_path: Path) -> None:
    before = StreamStatus(
        "scene", "/scene/image_raw", 30.0, 30.0, 0.01, 100, duplicates=3, newest_stamp_ns=5_000_000_000
    )
    streams = FakeStreams(before)
    session = RecorderSession(tmp_path, KNOWN, patient_writer, streams)
    begin(session)
    assert streams.episodes == 1
    feed(session, 31)
    # one second later by their own stamps
    now = dataclasses.replace(before, received=133, duplicates=4, largest_gap_s=0.05, newest_stamp_ns=6_000_000_000)
    streams.streams = (now,)
    assert session.status().streams == (now,)
    path = session.stop().result().path
    assert path is not None
    with EpisodeReader(path) as episode:
        scene = episode.info.summary.streams["scene"]
    assert (scene.received, scene.rate_hz) == (33, pytest.approx(33.0, abs=0.01))
    assert (scene.duplicates, scene.largest_gap_s, scene.stamp) == (1, 0.05, "header")


def test_a_step_that_is_not_younger_is_left_out_and_counted(session: RecorderSession) -> None:
    """The clock of the reference camera was set back: what was recorded stays an episode."""
    begin(session)
    feed(session, 10)
    feed(session, 5, first=3)
    feed(session, 2, first=10)
    assert session.status().message == "5 steps dropped: the clock was set back before 5"
    path = session.stop().result().path
    assert path is not None
    with EpisodeReader(path) as episode:
        assert list(episode.stamps_ns) == [synthetic_step(FR3_SIM, i).stamp_ns for i in range(12)]
        assert episode.info.dropped_steps == 5


def test_closing_keeps_what_was_recorded_as_a_failure(tmp_path: Path) -> None:
    session = RecorderSession(tmp_path, KNOWN)
    begin(session)
    feed(session, 12)
    session.close()
    with EpisodeReader(tmp_path / "episode_0.hdf5") as episode:
        assert (len(episode), episode.info.outcome) == (12, "failure")

    empty = RecorderSession(tmp_path, KNOWN)
    empty.start()
    empty.close()
    assert [path.name for path in tmp_path.iterdir()] == ["episode_0.hdf5"]


class AnyOrderOfOperations(RuleBasedStateMachine):
    """Whatever is pressed in whatever order: the files are exactly the episodes that were kept, and nothing else is left."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.session = RecorderSession(self.folder, KNOWN, patient_writer)
        self.expected: dict[
            Path, tuple[list[str], str]
        ] = {}  # prompt of each row, and outcome, of each finished episode
        self.firsts: dict[Path, str] = {}  # prompts with which they were begun
        self.last: Path | None = None
        self.path: Path | None = None  # of the running episode
        self.rows: list[str] = []
        self.prompt = self.first = self.next = KNOWN.prompt
        self.outcome = ""
        self.index = 0

    @property
    def recording(self) -> bool:
        return self.path is not None

    def begun(self, path: Path, first: str) -> None:
        self.path, self.rows, self.outcome = path, [], "success"
        self.prompt = self.first = first

    @precondition(lambda self: not self.recording)
    @rule()
    def start(self) -> None:
        self.begun(begin(self.session), self.next)

    @precondition(lambda self: self.recording or self.last)
    @rule()
    def redo(self) -> None:
        first = self.first if self.recording else self.firsts[self.last]
        again = self.path if self.path in self.expected else None
        path = begin(self.session, redo=True)
        if not self.recording:
            assert path == self.last
        elif again:
            assert path == again
        self.begun(path, first)

    @rule(count=st.integers(1, 8))
    def steps(self, count: int) -> None:
        feed(self.session, count, first=self.index)
        self.index += count
        if self.recording:
            self.rows += [self.prompt] * count

    @rule(prompt=st.sampled_from(["pick", "lift", "place"]))
    def set_prompt(self, prompt: str) -> None:
        self.session.set_prompt(prompt)
        self.prompt = prompt
        if not self.recording:
            self.next = prompt

    @precondition(lambda self: self.recording)
    @rule(outcome=st.sampled_from(["success", "failure"]))
    def mark(self, outcome: str) -> None:
        self.session.mark(outcome)
        self.outcome = outcome

    @precondition(lambda self: self.recording and self.rows)
    @rule()
    def stop(self) -> None:
        assert self.session.stop().result().path == self.path
        self.expected[self.path], self.firsts[self.path] = (self.rows, self.outcome), self.first
        self.last, self.path, self.prompt = self.path, None, self.next

    @precondition(lambda self: self.recording)
    @rule()
    def discard(self) -> None:
        self.session.stop("discarded").result()
        self.path, self.prompt = None, self.next

    @invariant()
    def the_status_is_right(self) -> None:
        status = self.session.status()
        assert status.episodes == len(self.expected)
        assert status.failures == sum(outcome == "failure" for _, outcome in self.expected.values())
        assert status.steps == (len(self.rows) if self.recording else 0)
        assert status.prompt == self.prompt

    def teardown(self) -> None:
        if self.recording:
            self.session.stop("discarded").result()
        self.session.close()
        found = {}
        for path in list_episodes(self.folder):
            with EpisodeReader(path) as episode:
                found[path] = (list(episode.prompts), episode.info.outcome)
        assert found == self.expected
        assert len(list(self.folder.iterdir())) == len(found)
        shutil.rmtree(self.folder)


AnyOrderOfOperations.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestAnyOrderOfOperations = AnyOrderOfOperations.TestCase


def test_the_default_writer_is_a_thread_around_hdf5(tmp_path: Path) -> None:
    writer = background_writer(tmp_path, KNOWN)
    assert writer.path == tmp_path / "episode_0.hdf5"
    writer.discard()


@pytest.mark.ros
def test_the_status_has_the_fields_of_the_messages() -> None:
    messages = pytest.importorskip("vla_msgs.msg", reason="the interfaces are not built")
    fields = {field.name for field in dataclasses.fields(RecorderStatus)}
    assert fields | {"header"} == set(messages.RecorderStatus.get_fields_and_field_types())
    fields = {field.name for field in dataclasses.fields(StreamStatus)}
    assert fields - {"mean_rate_hz"} == set(messages.StreamStatus.get_fields_and_field_types())  # the verdict's alone
    fields = {field.name for field in dataclasses.fields(PromptCount)}
    assert fields == set(messages.PromptCount.get_fields_and_field_types())
    for state in RecorderState:
        assert getattr(messages.RecorderStatus, state.name) == state
