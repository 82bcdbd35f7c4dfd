"""What can go wrong while an arm is commanded, by name. docs/faults.md says of each how it is found and cleared."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vla_core.motion.polynomial import Array


class FaultName(str, Enum):
    """The names that ``CommandStatus.fault`` has."""

    CHUNK_MALFORMED = "chunk_malformed"
    OBSERVATION_STALE = "observation_stale"
    PEER_LOST = "peer_lost"
    STARVED = "starved"
    JOINT_STATES_GONE = "joint_states_gone"
    JOINT_STATES_MALFORMED = "joint_states_malformed"
    JOINT_JUMP = "joint_jump"
    COMMANDS_LOST = "commands_lost"
    CONTROLLER_INACTIVE = "controller_inactive"
    TRACKING_ERROR = "tracking_error"
    EMERGENCY_STOP = "emergency_stop"
    DEADMAN_RELEASED = "deadman_released"
    STOPPED = "stopped"


@dataclass(frozen=True, eq=False)
class Fault:
    """Something that went wrong.

    Attributes:
        name: which one.
        message: one sentence for the operator.
        gives_way_to: (n,) where the arm is commanded to go after the stop, because something keeps it there; None: it stays
            where it stops [rad or m].
    """

    name: FaultName
    message: str
    gives_way_to: Array | None = None
