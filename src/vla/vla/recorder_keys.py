"""The recorder's keys, pressed by a program."""

from __future__ import annotations

from collections.abc import Callable

from vla_core.errors import VlaError
from vla_recorder.console import Notice, OperatorConsole
from vla_recorder.operations import RecorderOperations


class KeyRefused(VlaError):
    """The recorder did not do what a key asked for."""


class KeyToggle:
    """Begins and ends episodes with the keys of the operator's console (port :class:`vla.demonstrations.RecorderToggle`).

    Args:
        recorder: behind the keys.
        tell: takes what the console answers to a key.
    """

    def __init__(self, recorder: RecorderOperations, tell: Callable[[str], None]) -> None:
        self._recorder = recorder
        self._tell = tell
        self._notices: list[Notice] = []
        self._console = OperatorConsole(recorder, self._notices.append)

    def start(self) -> None:
        """Presses ``s``. Raises KeyRefused."""
        self._press("s")

    def stop(self, success: bool) -> tuple[str, int]:
        """Presses ``s``, or ``d`` to discard an episode without success. Raises KeyRefused.

        Returns:
            The episode's file and its rows; nothing and 0 if it was discarded.
        """
        status = self._recorder.status()
        self._press("s" if success else "d")
        return (status.episode_path, status.steps) if success and status is not None else ("", 0)

    def _press(self, key: str) -> None:
        self._console.press(key)
        answers = list(self._notices)
        self._notices.clear()
        for answer in answers:
            self._tell(f"key {key}: {answer.text}")
            if answer.level == "error":
                raise KeyRefused(f"key {key}: {answer.text}")
