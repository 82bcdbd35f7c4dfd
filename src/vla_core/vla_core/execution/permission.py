"""Who may forbid motion: an emergency stop, and a deadman switch."""

from __future__ import annotations

from vla_core.embodiment.schema import Safety
from vla_core.execution.faults import Fault, FaultName

_MS = 1_000_000


class Permission:
    """Knows what the emergency stop and the deadman switch said last.

    Args:
        safety: which of them there are, and whether they must be there.
    """

    def __init__(self, safety: Safety) -> None:
        self._emergency_stop = safety.emergency_stop
        self._deadman = safety.deadman
        self._stopped: bool | None = None  # None: never heard of
        self._held_ns: int | None = None  # when the deadman switch was last known to be held

    def emergency_stop(self, pressed: bool) -> None:
        """Takes what the emergency stop says."""
        self._stopped = pressed

    def deadman(self, held: bool, now_ns: int) -> None:
        """Takes what the deadman switch says, which it must go on saying."""
        self._held_ns = now_ns if held else None

    def withdrawn(self, now_ns: int) -> Fault | None:
        """What forbids the motion that is on; None where nothing does."""
        if self._stopped:
            return Fault(FaultName.EMERGENCY_STOP, "the emergency stop is pressed; release it, then clear the fault")
        if self._deadman is not None and not self._is_held(now_ns):
            return Fault(FaultName.DEADMAN_RELEASED, "the deadman switch is not held; hold it, then resume or arm")
        return None

    def refusal(self, now_ns: int) -> str:
        """Why no motion may begin; empty where it may."""
        required = self._emergency_stop is not None and self._emergency_stop.required
        if required and self._stopped is None:
            topic = self._emergency_stop.topic if self._emergency_stop else ""
            return f"expected the emergency stop on {topic}, which is required, found no message"
        withdrawn = self.withdrawn(now_ns)
        return withdrawn.message if withdrawn else ""

    def _is_held(self, now_ns: int) -> bool:
        if self._held_ns is None or self._deadman is None:
            return False
        return now_ns - self._held_ns <= self._deadman.timeout_ms * _MS
