"""The writer's thread: nothing is lost without being counted, and no error is lost at all."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from vla_core.embodiment import load_embodiment
from vla_core.episodes import (
    BackgroundEpisodeWriter,
    Beside,
    EpisodeMetadata,
    EpisodeReader,
    Hdf5EpisodeWriter,
    NativeSamples,
    RecordingSummary,
)
from vla_core.episodes.synthetic import synthetic_step
from vla_core.errors import EpisodeError
from vla_core.observation import Step

FR3_SIM = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3_sim.yaml")


class SlowWriter:
    """Writes a step when it is let: each release of ``permits`` is one step. Fails at step ``fails_at``."""

    path = Path("episode_0.hdf5")

    def __init__(self, fails_at: int | None = None) -> None:
        self.permits = threading.Semaphore(0)
        self.taken = threading.Semaphore(0)
        self.flushed = threading.Semaphore(0)
        self.stamps: list[int] = []
        self.prompts: list[str] = []
        self.records: list[Beside] = []
        self.summary: RecordingSummary | None = None
        self.discarded = False
        self._fails_at = fails_at

    def append(self, step: Step, prompt: str = "") -> None:
        self.taken.release()
        self.permits.acquire()
        if len(self.stamps) == self._fails_at:
            raise EpisodeError("the disk is full")
        self.stamps.append(step.stamp_ns)
        self.prompts.append(prompt)

    def beside(self, record: Beside) -> None:
        self.records.append(record)

    def flush(self) -> None:
        self.flushed.release()

    def finish(self, outcome: str, summary: RecordingSummary | None = None) -> Path:
        self.summary = summary
        return Path(outcome)

    def discard(self) -> None:
        self.discarded = True


def append_for_ever(writer: BackgroundEpisodeWriter) -> None:
    for index in range(1_000_000):
        writer.append(step(index))


def step(index: int) -> Step:
    return Step(index, {})


def test_every_step_reaches_the_file_in_order(tmp_path: Path) -> None:
    writer = BackgroundEpisodeWriter(Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", FR3_SIM)), when_full="wait")
    for index in range(100):
        writer.append(synthetic_step(FR3_SIM, index))
    with EpisodeReader(writer.finish("success")) as episode:
        np.testing.assert_array_equal(episode.stamps_ns, [synthetic_step(FR3_SIM, i).stamp_ns for i in range(100)])
        assert episode.info.dropped_steps == 0


def test_steps_that_find_the_queue_full_are_dropped_and_counted() -> None:
    slow = SlowWriter()
    writer = BackgroundEpisodeWriter(slow, capacity=3)
    writer.append(step(0))
    slow.taken.acquire()  # the thread holds step 0, the queue is empty
    for index in range(1, 8):
        writer.append(step(index))
    assert (writer.queued_steps, writer.dropped_steps) == (3, 4)
    slow.permits.release(10)
    writer.finish("success", RecordingSummary(dropped_steps=2))
    assert slow.stamps == [0, 1, 2, 3]
    assert slow.summary is not None
    assert slow.summary.dropped_steps == 6


def native(index: int) -> NativeSamples:
    return NativeSamples("joints", np.array([index]), np.array([index]), np.zeros((1, 21)))


def test_what_is_beside_the_steps_goes_with_them_and_is_dropped_and_counted_on_its_own() -> None:
    slow = SlowWriter()
    writer = BackgroundEpisodeWriter(slow, capacity=1)
    writer.append(step(0), "pick")
    slow.taken.acquire()  # the thread holds step 0
    for index in range(40):
        writer.beside(native(index))
    kept = 40 - writer.dropped_beside
    assert 0 < kept < 40
    assert (writer.queued_steps, writer.dropped_steps) == (0, 0)
    writer.append(step(1))
    slow.permits.release(10)
    writer.finish("success", RecordingSummary(dropped_beside=1))
    assert slow.prompts == ["pick", ""]
    assert [int(record.stamps_ns[0]) for record in slow.records] == list(range(kept))
    assert slow.summary is not None
    assert slow.summary.dropped_beside == 41 - kept


def test_when_no_step_comes_the_thread_flushes() -> None:
    slow = SlowWriter()
    writer = BackgroundEpisodeWriter(slow)
    assert slow.flushed.acquire(timeout=60)
    writer.discard()


def test_in_lockstep_a_full_queue_is_waited_for() -> None:
    slow = SlowWriter()
    writer = BackgroundEpisodeWriter(slow, capacity=1, when_full="wait")
    producer = threading.Thread(target=lambda: [writer.append(step(index)) for index in range(20)])
    producer.start()
    for _ in range(20):
        slow.taken.acquire()
        slow.permits.release()
    producer.join()
    writer.finish("success")
    assert slow.stamps == list(range(20))
    assert writer.dropped_steps == 0


@pytest.mark.parametrize("when_full", ["drop", "wait"])
def test_the_threads_error_is_raised_by_the_next_calls(when_full: str) -> None:
    slow = SlowWriter(fails_at=1)
    slow.permits.release(100)
    writer = BackgroundEpisodeWriter(slow, capacity=1, when_full=when_full)
    with pytest.raises(EpisodeError, match="the disk is full"):
        append_for_ever(writer)
    with pytest.raises(EpisodeError, match="the disk is full"):
        writer.append(step(0))
    with pytest.raises(EpisodeError, match="the disk is full"):
        writer.finish("success")
    assert len(slow.stamps) == 1
    writer.discard()
    assert slow.discarded


def test_an_error_at_the_last_step_is_raised_by_finish() -> None:
    slow = SlowWriter(fails_at=0)
    writer = BackgroundEpisodeWriter(slow)
    writer.append(step(0))
    slow.permits.release()
    with pytest.raises(EpisodeError, match="the disk is full"):
        writer.finish("success")
    assert slow.summary is None


def test_discarding_forgets_what_waits(tmp_path: Path) -> None:
    slow = SlowWriter()
    writer = BackgroundEpisodeWriter(slow)
    for index in range(5):
        writer.append(step(index))
    slow.taken.acquire()
    slow.permits.release()
    threading.Thread(target=lambda: slow.permits.release(5)).start()
    writer.discard()
    assert slow.discarded
    assert slow.stamps[:1] == [0]

    real = BackgroundEpisodeWriter(Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", FR3_SIM)))
    for index in range(30):
        real.append(synthetic_step(FR3_SIM, index))
    real.discard()
    assert list(tmp_path.iterdir()) == []
