"""The recorder's logic: states, counts, and what happens when something cannot be written."""

from __future__ import annotations

import dataclasses
import functools
import shutil
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vla_core.alignment import StreamStatus
from vla_core.embodiment import load_embodiment
from vla_core.episodes import EpisodeMetadata, EpisodeReader, RecordingSummary, list_episodes
from vla_core.episodes.synthetic import synthetic_step
from vla_core.errors import EpisodeError
from vla_core.observation import Step
from vla_recorder.session import RecorderRefused, RecorderSession, background_writer
from vla_recorder.status import RecorderState, RecorderStatus

FR3_SIM = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3_sim.yaml")
KNOWN = EpisodeMetadata("pick up the cube", "sim", FR3_SIM, task="pick_place", policy_id="act")


# these tests make steps faster than a disk writes
patient_writer = functools.partial(background_writer, when_full="wait")


@pytest.fixture
def session(tmp_path: Path) -> RecorderSession:
    return RecorderSession(tmp_path, KNOWN, patient_writer)


def feed(session: RecorderSession, count: int, first: int = 0) -> None:
    for index in range(first, first + count):
        session.step(synthetic_step(FR3_SIM, index))


def without(step: Step, *names: str) -> Step:
    return Step(step.stamp_ns, {name: sample for name, sample in step.samples.items() if name not in names})


def test_an_episode_from_start_to_stop(session: RecorderSession, tmp_path: Path) -> None:
    feed(session, 3)
    assert session.status() == RecorderStatus(RecorderState.IDLE, prompt="pick up the cube")
    path = session.start(seed=7)
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
    session.start()
    feed(session, 2)
    if marked:
        session.mark_failure()
        assert session.status().outcome == "failure"
    path = session.stop(asked).result().path
    assert path is not None
    with EpisodeReader(path) as episode:
        assert episode.info.outcome == expected


def test_a_mark_does_not_outlive_its_episode(session: RecorderSession) -> None:
    session.start()
    feed(session, 2)
    session.mark_failure()
    session.stop().result()
    session.start()
    assert session.status().outcome == "success"
    session.discard()


def test_a_discarded_episode_leaves_nothing(session: RecorderSession, tmp_path: Path) -> None:
    session.start()
    feed(session, 20)
    ended = session.stop("discarded").result()
    assert (ended.path, ended.outcome, ended.steps) == (None, "discarded", 0)
    assert list(tmp_path.iterdir()) == []
    assert session.status() == RecorderStatus(RecorderState.IDLE, prompt="pick up the cube")
    assert session.start().name == "episode_0.hdf5"
    session.discard()
    assert list(tmp_path.iterdir()) == []


def test_prompts_belong_to_the_next_episode(session: RecorderSession) -> None:
    session.set_prompt("  open the drawer ")
    assert session.status().prompt == "open the drawer"
    session.start()
    feed(session, 1)
    with pytest.raises(RecorderRefused, match="the prompt of an episode cannot change while it is recorded"):
        session.set_prompt("close it")
    first = session.stop().result().path
    session.start("close the drawer")
    feed(session, 1)
    second = session.stop().result().path
    prompts = []
    for path in (first, second):
        assert path is not None
        with EpisodeReader(path) as episode:
            prompts.append(episode.info.metadata.prompt)
    assert prompts == ["open the drawer", "close the drawer"]
    assert session.status().prompt == "close the drawer"


def test_steps_that_lack_a_stream_are_dropped_and_explained(session: RecorderSession) -> None:
    session.start()
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
    session.start()
    for index in range(30):
        session.step(without(synthetic_step(FR3_SIM, index), "scene"))
    with pytest.raises(EpisodeError, match=r"episode_0.hdf5 has no steps \(30 steps dropped: scene missing in 30\)"):
        session.stop()
    status = session.status()
    assert status.state == RecorderState.FAILED
    assert "scene missing in 30" in status.message
    assert list(tmp_path.iterdir()) == []
    session.start()
    assert session.status().state == RecorderState.RECORDING
    with pytest.raises(EpisodeError, match="no step came from the streams"):
        session.stop()


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (lambda s: s.stop(), "cannot stop: no episode is being recorded"),
        (lambda s: s.discard(), "cannot discard: no episode is being recorded"),
        (lambda s: s.mark_failure(), "cannot mark a failure: no episode is being recorded"),
    ],
)
def test_what_needs_a_running_episode_is_refused_without_one(session: RecorderSession, operation, message: str) -> None:
    with pytest.raises(RecorderRefused, match=message):
        operation(session)
    assert session.status().state == RecorderState.IDLE


def test_a_running_episode_is_not_started_again_and_no_other_outcome_exists(session: RecorderSession) -> None:
    session.start()
    feed(session, 1)
    with pytest.raises(RecorderRefused, match=r"cannot start: episode_0.hdf5 is still being recorded"):
        session.start()
    with pytest.raises(RecorderRefused, match="expected 'success', 'failure' or 'discarded', found 'great'"):
        session.stop("great")
    assert session.status().state == RecorderState.RECORDING
    session.stop().result()


class GatedWriter:
    """A writer whose end waits for ``gate``, and whose calls raise ``error`` if there is one."""

    path = Path("episode_0.hdf5")
    dropped_steps = 0
    queued_steps = 2

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.error: EpisodeError | None = None
        self.appended = 0

    def append(self, step: Step) -> None:
        if self.error:
            raise self.error
        self.appended += 1

    def finish(self, outcome: str, summary: RecordingSummary | None = None) -> Path:
        self.gate.wait(10)
        if self.error:
            raise self.error
        return self.path

    def discard(self) -> None:
        if self.error:
            raise self.error


@pytest.fixture
def gated(tmp_path: Path) -> tuple[RecorderSession, GatedWriter]:
    writer = GatedWriter()
    return RecorderSession(tmp_path, KNOWN, make_writer=lambda folder, metadata: writer), writer


def test_while_a_file_is_completed_the_recorder_answers_and_takes_no_steps(
    gated: tuple[RecorderSession, GatedWriter],
) -> None:
    session, writer = gated
    session.start()
    feed(session, 4)
    ending = session.stop()
    assert session.status().state == RecorderState.FINISHING
    assert session.status().queue_steps == 2
    feed(session, 4, first=4)
    with pytest.raises(RecorderRefused, match=r"cannot start: episode_0.hdf5 is still being finished"):
        session.start()
    with pytest.raises(RecorderRefused):
        session.stop()
    writer.gate.set()
    assert ending.result().steps == 4
    assert writer.appended == 4
    assert session.status().state == RecorderState.IDLE


def test_a_step_that_cannot_be_written_fails_the_episode_and_not_the_recorder(
    gated: tuple[RecorderSession, GatedWriter],
) -> None:
    session, writer = gated
    session.start()
    feed(session, 4)
    writer.error = EpisodeError("episode_0.hdf5.partial: cannot write step 4: No space left on device")
    feed(session, 3, first=4)
    status = session.status()
    assert (status.state, status.message) == (RecorderState.FAILED, str(writer.error))
    with pytest.raises(RecorderRefused):
        session.stop()
    writer.error = None
    session.start()
    assert session.status().state == RecorderState.RECORDING
    assert session.status().message == ""


def test_an_end_that_cannot_be_written_is_told_to_whoever_waits_and_to_the_operator(
    gated: tuple[RecorderSession, GatedWriter],
) -> None:
    session, writer = gated
    session.start()
    feed(session, 4)
    writer.error = EpisodeError("no space left")
    writer.gate.set()
    with pytest.raises(EpisodeError, match="no space left"):
        session.stop().result()
    status = session.status()
    assert (status.state, status.message, status.episodes) == (RecorderState.FAILED, "no space left", 0)


def test_a_folder_that_cannot_be_written_is_an_error_of_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    session = RecorderSession(tmp_path / "file", KNOWN)
    with pytest.raises(EpisodeError, match="cannot begin an episode"):
        session.start()
    assert session.status().state == RecorderState.FAILED


def test_the_streams_of_the_episode_are_in_its_file(tmp_path: Path) -> None:
    arrived = {"received": 100, "newest_stamp_ns": 5_000_000_000}

    def streams() -> tuple[StreamStatus, ...]:
        return (StreamStatus("scene", "/scene/image_raw", 30.0, 30.0, 0.01, **arrived),)

    session = RecorderSession(tmp_path, KNOWN, patient_writer, streams)
    session.start()
    feed(session, 31)
    arrived = {"received": 133, "newest_stamp_ns": 6_000_000_000}  # one second later by their own stamps
    assert session.status().streams == streams()
    path = session.stop().result().path
    assert path is not None
    with EpisodeReader(path) as episode:
        scene = episode.info.summary.streams["scene"]
    assert (scene.received, scene.rate_hz) == (33, pytest.approx(33.0, abs=0.01))


def test_closing_keeps_what_was_recorded_as_a_failure(tmp_path: Path) -> None:
    session = RecorderSession(tmp_path, KNOWN)
    session.start()
    feed(session, 12)
    session.close()
    with EpisodeReader(tmp_path / "episode_0.hdf5") as episode:
        assert (len(episode), episode.info.outcome) == (12, "failure")

    empty = RecorderSession(tmp_path, KNOWN)
    empty.start()
    empty.close()
    assert [path.name for path in tmp_path.iterdir()] == ["episode_0.hdf5"]


class AnyOrderOfOperations(RuleBasedStateMachine):
    """Whatever is pressed in whatever order: the files are exactly the episodes that were stopped, and nothing else is left."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.session = RecorderSession(self.folder, KNOWN, patient_writer)
        self.expected: list[tuple[int, str]] = []  # rows and outcome of each finished episode
        self.rows = 0
        self.failed = False
        self.recording = False
        self.index = 0

    @precondition(lambda self: not self.recording)
    @rule()
    def start(self) -> None:
        self.session.start()
        self.recording, self.rows, self.failed = True, 0, False

    @rule(count=st.integers(1, 8))
    def steps(self, count: int) -> None:
        feed(self.session, count, first=self.index)
        self.index += count
        self.rows += count if self.recording else 0

    @precondition(lambda self: self.recording)
    @rule()
    def mark(self) -> None:
        self.session.mark_failure()
        self.failed = True

    @precondition(lambda self: self.recording and self.rows)
    @rule()
    def stop(self) -> None:
        self.session.stop().result()
        self.expected.append((self.rows, "failure" if self.failed else "success"))
        self.recording = False

    @precondition(lambda self: self.recording)
    @rule()
    def discard(self) -> None:
        self.session.discard()
        self.recording = False

    @invariant()
    def counts_are_right(self) -> None:
        status = self.session.status()
        assert status.episodes == len(self.expected)
        assert status.steps == (self.rows if self.recording else 0)

    def teardown(self) -> None:
        if self.recording:
            self.session.discard()
        self.session.close()
        found = []
        for path in list_episodes(self.folder):
            with EpisodeReader(path) as episode:
                found.append((len(episode), episode.info.outcome))
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
    assert fields == set(messages.StreamStatus.get_fields_and_field_types())
    for state in RecorderState:
        assert getattr(messages.RecorderStatus, state.name) == state
