"""What an executor says of itself: its state, what happened, and what a tick decided."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vla_core.motion.smoother import Smoothed


class ExecutorState(Enum):
    """Of a command_node. UNCONFIGURED: it has no executor, or one that was deactivated."""

    UNCONFIGURED = 0
    READY = 1
    SHADOW = 2
    ARMED = 3
    RUNNING = 4
    HOLDING = 5
    FAULT = 6


@dataclass(frozen=True)
class Output:
    """What a tick decided.

    smoothed: the motion; ``smoothed.changed`` says whether it must be sent.
    gripper: new gripper target, to be sent once [m per finger]; None if it stays.
    send: False in shadow mode, where everything is decided and nothing leaves.
    """

    smoothed: Smoothed
    gripper: float | None
    send: bool


@dataclass
class Counters:
    """What happened since arming.

    chunks_refused: all that were not used; chunks_discarded: those of them that came later than they were conditioned on.
    chunks_late: came when nothing was meant any more. ticks_starved: control ticks without a reference while a policy ran.
    """

    chunks_accepted: int = 0
    chunks_refused: int = 0
    chunks_discarded: int = 0
    chunks_late: int = 0
    ticks_starved: int = 0
    plans_withdrawn: int = 0
    commands_sent: int = 0
