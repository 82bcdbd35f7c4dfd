"""Commands that wait until simulated time has come to where they were received."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class CommandQueue:
    """Keeps commands in the order of their coming, each with the time at which the middleware received it.

    A simulation that lags behind real time, because the machine was busy, catches up in one go. A command is applied at the
    cycle in which a robot would have got it, and not before or after all the cycles that were missed.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    def put(self, receive_ns: int, apply: Callable[[], None]) -> None:
        """Takes a command; ``apply()`` hands it to its controller."""
        self._waiting.append((receive_ns, apply))

    def apply_due(self, time_ns: int) -> None:
        """Applies the commands that were received up to a time [ns]."""
        while self._waiting and self._waiting[0][0] <= time_ns:
            self._waiting.popleft()[1]()

    def next_ns(self) -> int | None:
        """When the oldest command that waits was received [ns]; None if none waits."""
        return self._waiting[0][0] if self._waiting else None

    def clear(self) -> None:
        """Forgets all: the world is another one."""
        self._waiting.clear()
