"""When a gripper is told to open or close."""

from __future__ import annotations

from vla_core.embodiment.schema import Gripper


class GripperSwitch:
    """Turns a continuous gripper action into open and close, with hysteresis, and tells only changes."""

    def __init__(self, gripper: Gripper) -> None:
        self._gripper = gripper
        self.target: float | None = None

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
