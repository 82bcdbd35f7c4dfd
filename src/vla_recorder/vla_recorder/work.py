"""Work for the disk, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _Task:
    doing: str
    future: Future[Any]
    then: Callable[[Any], None]
    failed: Callable[[str], None]


class DiskWork:
    """Does one thing at a time in a thread; what follows from it is done by whoever collects it."""

    def __init__(self) -> None:
        self._task: _Task | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="episode-files")

    @property
    def doing(self) -> str:
        """What is being done; empty if nothing is."""
        return self._task.doing if self._task else ""

    def begin(
        self, doing: str, work: Callable[[], T], then: Callable[[T], None], failed: Callable[[str], None]
    ) -> Future[T]:
        """Begins some work; nothing else may be going on.

        Args:
            doing: what it is, for an operator.
            work: runs in the thread.
            then: takes what ``work`` returned, in the thread that collects it.
            failed: takes the message of what it raised instead.
        """
        assert self._task is None
        future = self._executor.submit(work)
        self._task = _Task(doing, future, then, failed)
        return future

    def collect(self) -> None:
        """If the work is done, has its consequences happen. To be called often."""
        task = self._task
        if task is None or not task.future.done():
            return
        self._task = None
        error = task.future.exception()
        if error is not None:
            task.failed(str(error))
        else:
            task.then(task.future.result())

    def wait(self) -> None:
        """Returns when the work is done and collected."""
        if self._task is not None:
            wait([self._task.future])
        self.collect()

    def close(self) -> None:
        """The same, and ends the thread."""
        self.wait()
        self._executor.shutdown()
