"""Writing an episode: rows go to disk while they come, and the file gets its name when it is complete."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from vla_core import __version__
from vla_core.episodes import hdf5
from vla_core.episodes.attributes import attributes_at_end, attributes_at_start
from vla_core.episodes.beside import Beside
from vla_core.episodes.disk_sync import DiskSync
from vla_core.episodes.file import EpisodeFile
from vla_core.episodes.folder import EpisodeLock, journal_of, partial_of, publish_episode, reserve_episode
from vla_core.episodes.journal import Journal, JournalRow
from vla_core.episodes.metadata import OUTCOMES, EpisodeMetadata, RecordingSummary
from vla_core.episodes.pixels import ImageChunk, encoders_of
from vla_core.episodes.reader import EpisodeReader
from vla_core.episodes.rows import RowMaker, stamp_of
from vla_core.errors import EpisodeError, choice
from vla_core.observation import Step

FLUSH_PERIOD_S = 0.1  # with the time between two steps and that of a flush, well below 0.2 s; a flush takes about 1 ms


class Hdf5EpisodeWriter:
    """Writes one episode (port :class:`vla_core.ports.EpisodeWriter`).

    Rows go into ``episode_<number>.hdf5.partial``; :meth:`finish` makes ``episode_<number>.hdf5`` of it. A process killed in
    between leaves a partial file, of which :func:`vla_core.episodes.recovery.recover_folder` makes an episode that lacks no
    row: each is in the journal beside as soon as :meth:`append` returns. The partial file alone lacks at most the last 0.2 s;
    its attribute ``steps`` says how many rows are whole. After an error of the disk both files stay, and the writer takes no
    more rows.

    Uncompressed images are not copied: the arrays of the last step must not change before the next call.
    """

    def __init__(
        self,
        folder: Path | str,
        metadata: EpisodeMetadata,
        recorder: str | None = None,
        created: datetime | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes the next free number of the folder, which is made if need be.

        Args:
            folder: where the episode goes.
            metadata: what is known now.
            recorder: name and version of the program that records; this package's by default.
            created: when recording began; default: now.
            now_s: tells the time by which rows are flushed [s].

        Raises:
            EpisodeError: the folder or the file cannot be written.
        """
        self._embodiment = metadata.embodiment
        self._now_s = now_s
        self._encoders = encoders_of(metadata.embodiment)
        self._maker = RowMaker(metadata.embodiment)
        self._prompts = [metadata.prompt]
        self._prompt_index = 0
        self._last: tuple[np.void, Sequence[ImageChunk]] | None = None
        self._waiting_since_s: float | None = None
        self._end_of_rows = 0  # in the partial file [B]
        self._closed_because = ""
        self._complete = False
        self._has_partial = True
        attributes = attributes_at_start(
            metadata, recorder or f"vla_core {__version__}", created or datetime.now(timezone.utc)
        )
        self._path, self._lock = reserve_episode(Path(folder))
        try:
            with hdf5.reported(self.partial_path, "create the file"):
                self._file = EpisodeFile.create(self.partial_path, metadata.embodiment, attributes)
                with self._abandoning():
                    self._journal = Journal(journal_of(self._path), attributes)
        except EpisodeError:
            self.partial_path.unlink(missing_ok=True)  # there is nothing in it
            self._lock.release()
            raise
        self._sync = DiskSync((self._lock.descriptor, self._journal.descriptor))

    @property
    def path(self) -> Path:
        """The file's name when it is finished."""
        return self._path

    @property
    def partial_path(self) -> Path:
        """The file's name until then."""
        return partial_of(self._path)

    def __len__(self) -> int:
        """Rows so far."""
        return self._file.steps

    def append(self, step: Step, prompt: str = "") -> None:
        """Adds a row. ``prompt`` is the instruction from this step on; empty: the one before goes on.

        Raises:
            EpisodeError: a stream is missing or has another shape, the step is not younger than the one before, the disk is
                full or cannot be written, or the episode is closed.
            ImageError: an image that came compressed cannot be decoded.
        """
        self._require_open()
        self._maker.check(step)
        last_ns = None if self._last is None else stamp_of(self._last[0])
        if last_ns is not None and step.stamp_ns <= last_ns:
            raise EpisodeError(
                f"{self._path.name}: expected a step younger than the last one at {last_ns} ns, found {step.stamp_ns} ns"
            )
        images = [encode(step.samples[name]) for name, encode in self._encoders]
        with self._disk(f"write step {self._file.steps}"):
            self._file.take_space(images)
            if prompt and prompt != self._prompts[self._prompt_index]:
                self._change_prompt(prompt)
            row = self._file.row
            self._maker.fill(row, step, self._prompt_index)
            self._maker.set_lengths(row, [image.length for image in images])
            self._add_row(images)

    def beside(self, record: Beside) -> None:
        """Adds values that have times of their own: samples of a stream at its own rate, or a chunk of a rollout.

        Raises:
            EpisodeError: a stream that is not native, values or actions of another shape, a disk that is full or cannot be
                written, or a closed episode.
        """
        self._require_open()
        self._file.beside.check(record)
        with self._disk("write what is beside the steps"):
            self._journal.add_beside(record)
            self._file.beside.add(record)
            self._flush_if_due()

    def flush(self) -> None:
        """Brings the partial file up to date, if anything waits. To be called where no step may come for a while.

        Raises:
            EpisodeError: the disk is full or cannot be written, or the partial file is gone.
        """
        if not self._closed_because:
            with self._disk("write what waits"):
                self._flush()

    def finish(self, outcome: str, summary: RecordingSummary | None = None) -> Path:
        """Adds the embodiment's end steps, completes and checks the file and gives it its name, which is returned.

        Raises:
            EpisodeError: an outcome that there is not, or an episode without steps: the episode stays open. Or a file that
                cannot be written, or does not read back: the partial file stays.
        """
        self._require_open()
        if outcome not in OUTCOMES:
            raise EpisodeError(f"{self._path.name}: expected the outcome {choice(OUTCOMES)}, found '{outcome}'")
        if self._last is None:
            raise EpisodeError(f"{self._path.name}: expected at least one step, found none; discard the episode")
        with self._disk("complete the file"):
            self._add_end_steps(*self._last)
            self._require_partial()
            self._file.complete(attributes_at_end(outcome, summary or RecordingSummary()))
            self._complete = True
            self._sync.stop()
            hdf5.sync(self.partial_path)
            EpisodeReader(self.partial_path, locked=True).close()
            publish_episode(self._path)
            self._has_partial = False
            self._closed_because = "it is finished"
            self._journal.remove()
            self._lock.release()
        return self._path

    def discard(self) -> None:
        """Closes and removes the partial file. The file of a finished episode stays.

        Raises:
            EpisodeError: it cannot be removed.
        """
        self._let_go()
        self._closed_because = self._closed_because or "it was discarded"
        if self._has_partial:  # else its name may be another recorder's by now
            self._has_partial = False
            with hdf5.reported(self.partial_path, "remove the file"):
                self._remove()

    def _change_prompt(self, prompt: str) -> None:
        if prompt not in self._prompts:
            self._journal.add_prompt(prompt)
            self._prompts.append(prompt)
            self._file.set_prompts(self._prompts)
        self._prompt_index = self._prompts.index(prompt)

    def _add_row(self, images: Sequence[ImageChunk]) -> None:
        """Adds the row that is filled: to the partial file, and then to the journal."""
        row = self._file.row
        places = self._file.add_row(images)
        self._journal.add_row(JournalRow(row.tobytes(), places))
        self._last = (row.copy(), images)
        self._end_of_rows = max(self._end_of_rows, *(place.offset + place.size for place in places))
        self._flush_if_due()

    def _add_end_steps(self, last: np.void, images: Sequence[ImageChunk]) -> None:
        for number in range(1, self._embodiment.steps.end_steps + 1):
            self._maker.fill_end(self._file.row, last, number * self._embodiment.step_ns)
            self._add_row(images)

    def _flush_if_due(self) -> None:
        now_s = self._now_s()
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
        if self._file.must_flush or now_s - self._waiting_since_s >= FLUSH_PERIOD_S:
            self._flush()

    def _flush(self) -> None:
        self._require_partial()
        self._sync.check()
        self._file.flush()
        self._waiting_since_s = None

    def _require_partial(self) -> None:
        """A file that was removed, or whose disk was unmounted, can be written on and on."""
        if not self._lock.holds(self.partial_path):
            raise FileNotFoundError("it is gone: has its folder been removed, or its disk been unmounted?")

    def _require_open(self) -> None:
        if self._closed_because:
            raise EpisodeError(f"{self._path.name}: expected an open episode, but {self._closed_because}")

    def _let_go(self) -> None:
        """Ends the writing for good. The files stay as they are, and may be recovered."""
        self._file.abandon()
        self._sync.stop()
        self._journal.close()
        self._lock.release()

    def _remove(self) -> None:
        """Removes the partial file, unless somebody recovers it. The journal goes first: its name is the partial file's."""
        lock = EpisodeLock.of_partial(self.partial_path)
        if lock is None:
            return
        try:
            if lock.identity == self._lock.identity:
                self._journal.remove()
                self.partial_path.unlink()
        finally:
            lock.release()

    @contextmanager
    def _abandoning(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self._file.abandon()
            raise

    @contextmanager
    def _disk(self, doing: str) -> Iterator[None]:
        """Around everything that writes: after an error the file is let go of as the last flush and whole row left it."""
        try:
            with hdf5.reported(self.partial_path, doing):
                yield
        except EpisodeError:
            self._file.abandon()
            if not self._complete:
                self._cut_torn_row()
            self._let_go()
            self._closed_because = f"it failed to {doing}"
            raise

    def _cut_torn_row(self) -> None:
        """Gives back the space of a row that was not completed: what completes the file later needs some."""
        with suppress(OSError):
            size = os.fstat(self._lock.descriptor).st_size
            os.ftruncate(self._lock.descriptor, min(size, max(self._end_of_rows, self._file.flushed_bytes)))
