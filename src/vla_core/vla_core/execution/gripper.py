"""When a gripper is told to open or close."""

from __future__ import annotations

from vla_core.embodiment.schema import Gripper


class GripperSwitch:
    """Turns a continuous gripper action into open and close, with hysteresis, and tells only changes.

    Args:
        gripper: of the embodiment.
        measured: where the fingers are at the beginning [m per finger]; what they are at is not told again.
    """

    def __init__(self, gripper: Gripper, measured: float | None) -> None:
        self._gripper = gripper
        self.target: float | None = None
        if measured is not None:
            self.target = gripper.open if measured > self.undecided else gripper.closed

    @property
    def undecided(self) -> float:
        """An action that changes nothing [m per finger]."""
        return (self._gripper.close_below + self._gripper.open_above) / 2.0

    def update(self, action: float) -> float | None:
        """Takes the gripper's action [m per finger]; returns the new target [m per finger], or None if it stays."""
        if action < self._gripper.close_below:
            target = self._gripper.closed
        elif action > self._gripper.open_above:
            target = self._gripper.open
        else:
            return None
        if target == self.target:
            return None
        self.target = target
        return target
