"""The port between an operator's console and a recorder, and the recorder of the same process behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

from vla_core.errors import VlaError
from vla_core.observation import Step
from vla_recorder.session import RecorderSession
from vla_recorder.status import RecorderStatus


@dataclass(frozen=True)
class Reply:
    """What a recorder answers: whether it did what was asked for, and one sentence for the operator.

    verdict: of an episode that was stopped: what was wrong with it.
    """

    accepted: bool
    message: str = ""
    verdict: tuple[str, ...] = ()


class RecorderOperations(Protocol):
    """What an operator can have a recorder do.

    Each call returns when it is done, ``stop`` when the file is complete, and within a bounded time. ``status`` is called from
    another thread than the rest.
    """

    def start(self, redo: bool = False) -> Reply:
        """Begins an episode; ``redo``: in place of the running one, or else of the last finished one."""
        ...

    def stop(self, outcome: str = "") -> Reply:
        """Ends the episode as ``success``, ``failure`` or ``discarded``; empty: as it was marked."""
        ...

    def mark(self, outcome: str) -> Reply:
        """The running episode is to end as ``success`` or ``failure``."""
        ...

    def set_prompt(self, prompt: str) -> Reply: ...

    def status(self) -> RecorderStatus | None:
        """The newest status, never older than the last accepted operation; None while the recorder is silent."""
        ...


class LocalRecorder:
    """A recorder session of this process, for several threads at once: steps come from one, an operator's keys from another."""

    def __init__(self, session: RecorderSession) -> None:
        self._session = session
        self._lock = threading.Lock()

    def step(self, step: Step) -> None:
        """Records a step. See :meth:`RecorderSession.step`."""
        with self._lock:
            self._session.step(step)

    def start(self, redo: bool = False) -> Reply:
        try:
            with self._lock:
                beginning = self._session.start(redo=redo)
            path = beginning.result()
        except VlaError as error:
            return Reply(False, str(error))
        return Reply(True, f"recording {path.name}" + (" again" if redo else ""))

    def stop(self, outcome: str = "") -> Reply:
        try:
            with self._lock:
                name = PurePath(self._session.status().episode_path).name
                ending = self._session.stop(outcome)
            ended = ending.result()
        except VlaError as error:
            return Reply(False, str(error))
        return Reply(True, f"{name}: {ended.outcome}" + (f", {ended.steps} steps" if ended.path else ""), ended.verdict)

    def mark(self, outcome: str) -> Reply:
        return self._do(lambda: self._session.mark(outcome), f"marked as a {outcome}")

    def set_prompt(self, prompt: str) -> Reply:
        return self._do(lambda: self._session.set_prompt(prompt), f"prompt: {prompt}")

    def status(self) -> RecorderStatus:
        with self._lock:
            return self._session.status()

    def _do(self, operation: Callable[[], None], done: str) -> Reply:
        try:
            with self._lock:
                operation()
        except VlaError as error:
            return Reply(False, str(error))
        return Reply(True, done)
