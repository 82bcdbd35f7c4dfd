"""Writing an episode in a thread, so that a slow disk does not hold up whoever makes the steps."""

from __future__ import annotations

import dataclasses
import queue
import threading
from pathlib import Path
from typing import Literal

from vla_core.episodes.metadata import RecordingSummary
from vla_core.observation import Step
from vla_core.ports import EpisodeWriter


class BackgroundEpisodeWriter:
    """A writer around a writer (port :class:`vla_core.ports.EpisodeWriter`), which then works in a thread of its own.

    Steps wait in a queue. When it is full, a step is dropped and counted, or, for recordings in lockstep, waited for. An
    error of the thread is raised by the next call.
    """

    def __init__(self, writer: EpisodeWriter, capacity: int = 60, when_full: Literal["drop", "wait"] = "drop") -> None:
        """Starts the thread.

        Args:
            writer: does the writing; nobody else may use it from now on.
            capacity: steps that may wait; they are in memory (60 steps of two 640x480 images: 111 MB).
            when_full: what happens to the next step then.
        """
        self._writer = writer
        self._when_full = when_full
        self._queue: queue.Queue[Step | None] = queue.Queue(capacity)
        self._dropped = 0
        self._error: Exception | None = None
        self._discarding = threading.Event()
        self._thread = threading.Thread(target=self._work, name="episode-writer", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        return self._writer.path

    @property
    def dropped_steps(self) -> int:
        """Steps dropped because the queue was full."""
        return self._dropped

    @property
    def queued_steps(self) -> int:
        """Steps that wait for the disk."""
        return self._queue.qsize()

    def append(self, step: Step) -> None:
        """Hands a step to the thread. Raises what the thread met with before: usually an EpisodeError."""
        self._raise_error()
        if self._when_full == "wait":
            self._put(step)
            return
        try:
            self._queue.put_nowait(step)
        except queue.Full:
            self._dropped += 1

    def finish(self, outcome: str, summary: RecordingSummary | None = None) -> Path:
        """Waits until all steps are written, then finishes the episode. The steps dropped here are added to the summary's."""
        self._stop()
        self._raise_error()
        summary = summary or RecordingSummary()
        dropped = summary.dropped_steps + self._dropped
        return self._writer.finish(outcome, dataclasses.replace(summary, dropped_steps=dropped))

    def discard(self) -> None:
        """Forgets the steps that still wait, and discards the episode."""
        self._discarding.set()
        self._stop()
        self._writer.discard()

    def _stop(self) -> None:
        self._put(None)
        self._thread.join()

    def _put(self, item: Step | None) -> None:
        """Waits for a place in the queue for as long as somebody empties it."""
        while self._thread.is_alive():
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (step := self._queue.get()) is not None:
            if self._discarding.is_set():
                continue
            try:
                self._writer.append(step)
            except Exception as error:
                self._error = error
                return
