"""Writing an episode in a thread, so that a slow disk does not hold up whoever makes the steps."""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vla_core.episodes.beside import Beside
from vla_core.episodes.metadata import RecordingSummary
from vla_core.episodes.writer import FLUSH_PERIOD_S
from vla_core.observation import Step
from vla_core.ports import EpisodeWriter

_BESIDE_PER_STEP = (
    16  # records beside the steps that may wait for each step that may: far more than come, and little memory
)


@dataclass(frozen=True, eq=False)
class _PromptedStep:
    step: Step
    prompt: str


class BackgroundEpisodeWriter:
    """A writer around a writer (port :class:`vla_core.ports.EpisodeWriter`), which then works in a thread of its own.

    Steps, and what is beside them, wait in a queue. When it is full, they are dropped and counted, or, for recordings in
    lockstep, waited for. An error of the thread is raised by the next call.
    """

    def __init__(self, writer: EpisodeWriter, capacity: int = 60, when_full: Literal["drop", "wait"] = "drop") -> None:
        """Starts the thread.

        Args:
            writer: does the writing; nobody else may use it from now on.
            capacity: steps that may wait; they are in memory (60 steps of two 640x480 images: 111 MB).
            when_full: what happens to the next step then.
        """
        self._writer = writer
        self._capacity = capacity
        self._when_full = when_full
        self._waiting: deque[_PromptedStep | Beside] = deque()
        self._changed = threading.Condition()
        self._queued_steps = 0
        self._dropped_steps = 0
        self._dropped_beside = 0
        self._stopping = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="episode-writer", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        return self._writer.path

    @property
    def dropped_steps(self) -> int:
        """Steps dropped because the queue was full."""
        return self._dropped_steps

    @property
    def dropped_beside(self) -> int:
        """Records beside the steps dropped because the queue was full."""
        return self._dropped_beside

    @property
    def queued_steps(self) -> int:
        """Steps that wait for the disk."""
        return self._queued_steps

    def append(self, step: Step, prompt: str = "") -> None:
        """Hands a step to the thread. Raises what the thread met with before: usually an EpisodeError."""
        with self._changed:
            if not self._place_for_step():
                self._dropped_steps += 1
                return
            self._queued_steps += 1
            self._put(_PromptedStep(step, prompt))

    def beside(self, record: Beside) -> None:
        """Hands a record to the thread, in order with the steps. Raises as :meth:`append` does."""
        with self._changed:
            if not self._place_for_beside():
                self._dropped_beside += 1
                return
            self._put(record)

    def flush(self) -> None:
        """Does nothing: the thread sees to it. Raises as :meth:`append` does."""
        self._raise_error()

    def finish(self, outcome: str, summary: RecordingSummary | None = None) -> Path:
        """Waits until all is written, then finishes the episode. What was dropped here is added to the summary."""
        self._stop()
        self._raise_error()
        summary = summary or RecordingSummary()
        summary = dataclasses.replace(
            summary,
            dropped_steps=summary.dropped_steps + self._dropped_steps,
            dropped_beside=summary.dropped_beside + self._dropped_beside,
        )
        return self._writer.finish(outcome, summary)

    def discard(self) -> None:
        """Forgets what still waits, and discards the episode."""
        with self._changed:
            self._waiting.clear()
            self._queued_steps = 0
        self._stop()
        self._writer.discard()

    def _place_for_step(self) -> bool:
        return self._place(lambda: self._queued_steps < self._capacity)

    def _place_for_beside(self) -> bool:
        limit = self._capacity * _BESIDE_PER_STEP
        return self._place(lambda: len(self._waiting) - self._queued_steps < limit)

    def _place(self, free: Callable[[], bool]) -> bool:
        """Whether there is a place in the queue; waited for if it has to be. Holds the condition."""
        self._raise_error()
        if self._when_full == "wait":
            self._changed.wait_for(lambda: free() or self._error is not None)
            self._raise_error()
        return free()

    def _put(self, item: _PromptedStep | Beside) -> None:
        self._waiting.append(item)
        self._changed.notify_all()

    def _stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while not (self._stopping and not self._waiting):
                self._write_next()
        except Exception as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _write_next(self) -> None:
        """Writes what has waited longest. Where nothing comes for a while, what was written before is flushed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping, timeout=FLUSH_PERIOD_S)
            item = self._waiting.popleft() if self._waiting else None
            if isinstance(item, _PromptedStep):
                self._queued_steps -= 1
            self._changed.notify_all()
        if item is None:
            self._writer.flush()
        elif isinstance(item, _PromptedStep):
            self._writer.append(item.step, item.prompt)
        else:
            self._writer.beside(item)
