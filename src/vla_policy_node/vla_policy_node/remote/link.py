"""What a remote policy needs of a connection, whatever is spoken on it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

MAX_ANSWER_BYTES = 16 << 20
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0


class Link(Protocol):
    """A connection to a server, for one request at a time. It may be opened again after it was closed."""

    def open(self, deadline_s: float) -> Mapping[str, Any]:
        """Connects; returns what the server says of itself.

        Raises:
            PeerLost: nobody answers within the deadline [s].
            PeerError: the server refuses, or does not speak this protocol.
        """
        ...

    def ask(self, request: Mapping[str, Any], deadline_s: float) -> Mapping[str, Any]:
        """Sends values by their names; returns arrays by their names, with one row for each action.

        Raises:
            PeerLost: there is no answer within the deadline [s], or the connection broke.
            PeerError: the server reports an error, or its answer cannot be read.
        """
        ...

    def reset(self, deadline_s: float) -> None:
        """Has the server forget what it was asked before, if its protocol knows that. Raises like :meth:`ask`."""
        ...

    def close(self) -> None:
        """Ends the connection, at once. Does nothing if there is none."""
        ...


class Backoff:
    """Pauses between attempts to reach a server that is gone, each twice the last, up to a longest."""

    def __init__(self) -> None:
        self._pause_s = 0.0
        self._again_s = 0.0

    def remaining_s(self) -> float:
        """How long no attempt is to be made [s]."""
        return max(0.0, self._again_s - time.monotonic())

    def failed(self) -> None:
        self._pause_s = min(max(FIRST_PAUSE_S, 2 * self._pause_s), LONGEST_PAUSE_S)
        self._again_s = time.monotonic() + self._pause_s

    def succeeded(self) -> None:
        self._pause_s = self._again_s = 0.0


def told(text: str) -> str:
    """What a server says, as one short line: of a traceback the last, without what a terminal would act upon."""
    lines = [line for line in text.splitlines() if line.strip()]
    line = lines[-1].strip() if lines else "nothing"
    return "".join(character if character.isprintable() else "?" for character in line[:300])
