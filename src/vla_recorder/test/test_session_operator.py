"""What an operator asks of a recorder: prompts, records to be made again, and reasons not to start."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from recorder_support import FR3_SIM, KNOWN, FakeStreams, GatedWriter, begin, feed, patient_writer

from vla_core.alignment import StreamStatus
from vla_core.episodes import BackgroundEpisodeWriter, EpisodeReader, bytes_per_second, list_episodes
from vla_core.errors import EpisodeError
from vla_core.observation import Step
from vla_recorder.disk import DiskState
from vla_recorder.prompts import PromptList, WantedPrompt
from vla_recorder.session import RecorderRefused, RecorderSession
from vla_recorder.settings import RecorderSettings
from vla_recorder.status import PromptCount, RecorderState

GOOD = StreamStatus("scene", "/scene/image_raw", 30.0, 30.0, 0.02, 900, newest_stamp_ns=30_000_000_000)


@pytest.fixture
def session(tmp_path: Path) -> RecorderSession:
    return RecorderSession(tmp_path, KNOWN, patient_writer)


def record(session: RecorderSession, steps: int = 3, outcome: str = "", **arguments: object) -> Path:
    """A whole episode."""
    begin(session, **arguments)
    feed(session, steps)
    path = session.stop(outcome).result().path
    assert path is not None
    session.status()
    return path


def prompts_in(path: Path) -> list[str]:
    with EpisodeReader(path) as episode:
        return list(episode.prompts)


# -- prompts ----------------------------------------------------------------------------------------------------------------


def test_a_prompt_that_is_set_belongs_to_the_next_episode(session: RecorderSession) -> None:
    session.set_prompt("  open the drawer ")
    assert session.status().prompt == "open the drawer"
    assert prompts_in(record(session, 2)) == ["open the drawer"] * 2
    assert prompts_in(record(session, 2, prompt="close the drawer")) == ["close the drawer"] * 2
    assert session.status().prompt == "close the drawer"


def test_a_prompt_changes_with_the_step_and_the_next_episode_begins_as_this_one_did(session: RecorderSession) -> None:
    begin(session)
    feed(session, 3)
    session.set_prompt("lift it")
    assert session.status().prompt == "lift it"
    feed(session, 2, first=3)
    with pytest.raises(RecorderRefused, match="expected an instruction for the running episode, found nothing"):
        session.set_prompt("  ")
    session.set_prompt("pick up the cube")
    feed(session, 1, first=5)
    session.set_prompt("put it down")
    path = session.stop().result().path
    assert path is not None
    assert prompts_in(path) == ["pick up the cube"] * 3 + ["lift it"] * 2 + ["pick up the cube"]
    assert session.status().prompt == "pick up the cube"


PROMPTS = PromptList(
    schema="vla/prompts/1",
    prompts=(WantedPrompt("pick it up", 2), WantedPrompt("put it down", 1), WantedPrompt("push it", 1)),
)


def test_prompts_of_a_list_come_until_there_are_enough_of_each(tmp_path: Path) -> None:
    known = dataclasses.replace(KNOWN, prompt="")
    session = RecorderSession(tmp_path, known, patient_writer, prompts=PROMPTS)
    session.look_through().result()
    assert session.status().prompt == "pick it up"
    assert session.status().prompts == (
        PromptCount("pick it up", 2, 0),
        PromptCount("put it down", 1, 0),
        PromptCount("push it", 1, 0),
    )
    record(session)
    assert session.status().prompt == "pick it up"
    record(session, outcome="failure")  # does not count
    assert session.status().prompts[0] == PromptCount("pick it up", 2, 1)
    record(session, prompt="push it")  # out of turn
    assert session.status().prompt == "pick it up"
    record(session)
    assert session.status().prompt == "put it down"
    record(session)
    assert session.status().prompt == "put it down"  # there is nothing left to do
    assert [entry.missing for entry in session.status().prompts] == [0, 0, 0]
    record(session)
    assert session.status().prompts[1] == PromptCount("put it down", 1, 2)


def test_a_list_counts_what_is_in_the_folder_and_what_others_put_there(tmp_path: Path) -> None:
    other = RecorderSession(tmp_path, KNOWN, patient_writer)
    record(other, prompt="pick it up")
    record(other, prompt="put it down", outcome="failure")
    session = RecorderSession(tmp_path, dataclasses.replace(KNOWN, prompt=""), patient_writer, prompts=PROMPTS)
    session.look_through().result()
    assert [entry.recorded for entry in session.status().prompts] == [1, 0, 0]
    record(other, prompt="pick it up")
    record(session, prompt="push it")
    assert [entry.recorded for entry in session.status().prompts] == [2, 0, 1]
    assert session.status().prompt == "put it down"


def test_a_prompt_that_was_asked_for_goes_before_the_list(tmp_path: Path) -> None:
    session = RecorderSession(tmp_path, KNOWN, patient_writer, prompts=PROMPTS)
    session.look_through().result()
    assert session.status().prompt == "pick up the cube"
    record(session)
    assert session.status().prompt == "pick up the cube"


# -- once more --------------------------------------------------------------------------------------------------------------


def test_the_last_episode_is_recorded_again_in_its_place(session: RecorderSession, tmp_path: Path) -> None:
    first = record(session, 3, prompt="first")
    last = record(session, 4, "failure", prompt="second")
    session.set_prompt("third")
    assert begin(session, redo=True) == last
    assert session.status().episode_path == str(last)
    assert last.exists()  # until the new one is complete
    feed(session, 6)
    ended = session.stop().result()
    assert (ended.path, ended.replaced, ended.steps) == (last, True, 6)
    assert list_episodes(tmp_path) == [first, last]
    assert prompts_in(last) == ["second"] * 6
    status = session.status()
    assert (status.episodes, status.failures, status.prompt) == (2, 0, "third")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["episode_0.hdf5", "episode_1.hdf5"]


def test_an_attempt_to_record_again_that_is_discarded_leaves_the_old_one(
    session: RecorderSession, tmp_path: Path
) -> None:
    path = record(session, 3)
    begin(session, redo=True)
    feed(session, 2)
    session.stop("discarded").result()
    assert session.status().episode_path == str(path)
    assert len(prompts_in(path)) == 3
    begin(session, redo=True)
    feed(session, 5)
    session.stop().result()
    assert len(prompts_in(path)) == 5
    assert session.status().episodes == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_running_episode_is_recorded_again_from_its_beginning(session: RecorderSession, tmp_path: Path) -> None:
    begin(session, prompt="pick")
    feed(session, 3)
    session.set_prompt("place")
    session.mark("failure")
    path = begin(session, redo=True)
    status = session.status()
    assert (status.steps, status.prompt, status.outcome) == (0, "pick", "success")
    feed(session, 2)
    session.stop().result()
    assert list(tmp_path.iterdir()) == [path]
    assert prompts_in(path) == ["pick"] * 2
    assert session.status().episodes == 1


def test_an_attempt_to_record_again_can_be_begun_once_more(session: RecorderSession, tmp_path: Path) -> None:
    path = record(session, 3)
    begin(session, redo=True)
    feed(session, 2)
    assert begin(session, redo=True) == path
    feed(session, 4)
    session.stop().result()
    assert list(tmp_path.iterdir()) == [path]
    assert len(prompts_in(path)) == 4


def test_there_must_be_something_to_record_again(session: RecorderSession) -> None:
    with pytest.raises(RecorderRefused, match="cannot record again: no episode has been finished"):
        session.start(redo=True)
    assert session.status().state == RecorderState.IDLE


# -- verdict ----------------------------------------------------------------------------------------------------------------


def test_a_verdict_says_what_was_wrong(tmp_path: Path) -> None:
    streams = FakeStreams(GOOD)
    session = RecorderSession(tmp_path, KNOWN, patient_writer, streams)
    begin(session)
    feed(session, 10)
    feed(session, 10, first=17)
    streams.streams = (dataclasses.replace(GOOD, received=917, newest_stamp_ns=31_000_000_000),)
    ended = session.stop().result()
    assert not ended.good
    assert ended.verdict == ("267 ms gap at step 10", "scene came at 17 Hz, 30 expected")
    status = session.status()
    assert not status.last_good
    assert status.verdict == "267 ms gap at step 10\nscene came at 17 Hz, 30 expected"


def test_a_good_episode_has_nothing_to_be_said_about(tmp_path: Path) -> None:
    streams = FakeStreams(GOOD)
    session = RecorderSession(tmp_path, KNOWN, patient_writer, streams)
    begin(session)
    feed(session, 31)
    streams.streams = (dataclasses.replace(GOOD, received=930, newest_stamp_ns=31_000_000_000),)
    ended = session.stop().result()
    assert ended.good
    assert session.status().last_good
    assert session.status().verdict == ""


# -- reasons not to start ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"received": 0, "age_s": float("nan")},
            "'scene': nothing was received on /scene/image_raw, expected about 30 Hz",
        ),
        ({"age_s": 2.0}, "'scene': the last message on /scene/image_raw is 2.0 s old"),
        ({"age_s": -3.0}, "'scene': the stamps on /scene/image_raw are 3.0 s ahead of this computer's clock"),
    ],
)
def test_a_stream_that_is_missing_or_stale_is_named(tmp_path: Path, changes: dict[str, float], reason: str) -> None:
    streams = FakeStreams(dataclasses.replace(GOOD, **changes), dataclasses.replace(GOOD, name="wrist"))
    session = RecorderSession(tmp_path, KNOWN, patient_writer, streams)
    with pytest.raises(RecorderRefused) as refused:
        session.start()
    assert str(refused.value) == f"not started: {reason}"
    assert session.status().state == RecorderState.IDLE
    assert list(tmp_path.iterdir()) == []
    streams.streams = (GOOD,)
    begin(session)


@pytest.mark.parametrize(
    "changes", [{"age_s": 0.45}, {"expected_rate_hz": 1.0, "age_s": 4.0}, {"expected_rate_hz": 0.0, "age_s": 99.0}]
)
def test_a_stream_may_be_as_old_as_its_rate_allows(tmp_path: Path, changes: dict[str, float]) -> None:
    begin(RecorderSession(tmp_path, KNOWN, patient_writer, FakeStreams(dataclasses.replace(GOOD, **changes))))


def test_a_stream_with_wrong_messages_is_named(tmp_path: Path) -> None:
    streams = FakeStreams(GOOD)
    streams.problems["scene"] = "image 'scene': expected 128 x 96 pixels, found 640 x 480"
    session = RecorderSession(tmp_path, KNOWN, patient_writer, streams)
    with pytest.raises(RecorderRefused, match="not started: image 'scene': expected 128 x 96 pixels"):
        session.start()
    assert "expected 128 x 96" in session.status().message


def test_an_episode_that_would_not_fit_on_the_disk_is_refused(tmp_path: Path) -> None:
    settings = RecorderSettings(usual_episode_s=10.0, disk_reserve_mb=100.0)
    needed = round(10 * bytes_per_second(FR3_SIM))
    disk = [DiskState(100_000_000 + needed - 1_000_000)]
    session = RecorderSession(tmp_path, KNOWN, patient_writer, disk=lambda: disk[0], settings=settings)
    with pytest.raises(
        RecorderRefused, match=r"not started: the disk has room for \d+ MB of episodes, expected \d+ MB for one of 10 s"
    ):
        session.start()
    disk[0] = DiskState(100_000_000 + needed + 1_000_000)
    begin(session)
    session.stop("discarded").result()
    disk[0] = DiskState(error="/data is gone: has it been removed, or its disk been unmounted?")
    assert session.status().message == disk[0].error
    with pytest.raises(RecorderRefused, match="not started: /data is gone"):
        session.start()


def test_what_is_usual_and_how_much_it_takes_is_learnt_from_the_episodes(tmp_path: Path) -> None:
    disk = [DiskState(5_000_000_000)]
    settings = RecorderSettings(usual_episode_s=3600.0, disk_reserve_mb=0.0)
    session = RecorderSession(tmp_path, KNOWN, patient_writer, disk=lambda: disk[0], settings=settings)
    assert session.status().disk_free_bytes == 5_000_000_000
    with pytest.raises(RecorderRefused, match="for one of 3600 s"):
        session.start()
    disk[0] = DiskState(100_000_000_000)
    path = record(session, 61)  # two seconds
    rate = path.stat().st_size / 2.0
    assert session.status().disk_free_s == pytest.approx(100e9 / rate, rel=1e-3)
    disk[0] = DiskState(round(2.1 * rate))
    begin(session)
    session.stop("discarded").result()
    disk[0] = DiskState(round(1.9 * rate))
    with pytest.raises(RecorderRefused, match="for one of 2 s"):
        session.start()


def test_a_recording_stops_before_the_disk_is_full_and_is_kept(tmp_path: Path) -> None:
    disk = [DiskState(10_000_000_000)]
    session = RecorderSession(tmp_path, KNOWN, patient_writer, disk=lambda: disk[0])
    path = begin(session)
    feed(session, 5)
    disk[0] = DiskState(900_000_000)
    feed(session, 1, first=5)
    assert session.status().state == RecorderState.FINISHING
    session.close()
    status = session.status()
    assert status.state == RecorderState.IDLE
    assert status.message == "episode_0.hdf5 was stopped: the disk is full but for 900 MB (1.0 GB are kept free)"
    with EpisodeReader(path) as episode:
        assert (len(episode), episode.info.outcome) == (6, "failure")


# -- the disk takes its time ------------------------------------------------------------------------------------------------


def test_beginning_an_episode_on_a_slow_disk_holds_up_nobody(tmp_path: Path) -> None:
    writer = GatedWriter(tmp_path / "episode_0.hdf5")

    def slow_writer(*_: object) -> GatedWriter:
        writer.gate.wait(10)
        return writer

    session = RecorderSession(tmp_path, KNOWN, slow_writer)
    beginning = session.start()
    feed(session, 3)
    status = session.status()
    assert (status.state, status.message) == (RecorderState.IDLE, "an episode is still being begun")
    with pytest.raises(RecorderRefused, match="cannot start: an episode is still being begun"):
        session.start()
    with pytest.raises(RecorderRefused, match="no episode is being recorded"):
        session.stop()
    writer.gate.set()
    beginning.result()
    feed(session, 2, first=3)
    assert session.status().steps == 2


def test_a_slow_disk_is_dropped_steps_and_a_warning_and_nobody_waits(tmp_path: Path) -> None:
    class Slow(GatedWriter):
        """Writes nothing until its gate is open."""

        def append(self, step: Step, prompt: str = "") -> None:
            self.gate.wait(20)
            super().append(step, prompt)

    slow = Slow(tmp_path / "episode_0.hdf5")
    session = RecorderSession(tmp_path, KNOWN, lambda *_: BackgroundEpisodeWriter(slow, capacity=5))
    begin(session)
    feed(session, 50)  # returns although not one of them can be written
    status = session.status()
    assert status.queue_steps <= 5
    assert status.dropped_steps >= 44
    assert status.steps == 50 - status.dropped_steps
    assert status.message == f"{status.dropped_steps} steps dropped: disk too slow for {status.dropped_steps}"
    ending = session.stop()
    slow.gate.set()
    ended = ending.result()
    assert ended.steps == len(slow.steps) == status.steps
    assert f"{status.dropped_steps} steps dropped: the disk was too slow" in ended.verdict


def test_an_episode_that_cannot_be_begun_fails_the_start(tmp_path: Path) -> None:
    def no_writer(*_: object) -> GatedWriter:
        raise EpisodeError("episodes: cannot begin an episode: Read-only file system")

    session = RecorderSession(tmp_path, KNOWN, no_writer)
    with pytest.raises(EpisodeError, match="Read-only file system"):
        session.start().result()
    assert session.status().state == RecorderState.FAILED
    assert session.status().message == "episodes: cannot begin an episode: Read-only file system"


def test_closing_while_an_episode_is_begun_leaves_nothing(tmp_path: Path) -> None:
    session = RecorderSession(tmp_path, KNOWN, patient_writer)
    session.start()
    session.close()
    assert list(tmp_path.iterdir()) == []
