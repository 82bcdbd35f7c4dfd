"""How a set-up ends when it cannot be completed."""

from __future__ import annotations

from vla_core.errors import VlaError


class SetupError(VlaError):
    """A stage of the set-up failed. Run again, it goes on where it stopped."""

    exit_code = 1


class UnsuitableMachine(SetupError):
    """The machine lacks something that the set-up cannot or must not bring by itself; the message says what to do."""

    exit_code = 2
