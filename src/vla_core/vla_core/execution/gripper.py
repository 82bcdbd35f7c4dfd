"""When a gripper is told to open or close, or to go somewhere between."""

from __future__ import annotations

from typing import Protocol

from vla_core.embodiment.schema import Gripper


class GripperTarget(Protocol):
    """Where a gripper is told to be, by an action at every tick; only changes are told."""

    target: float | None
    """what was told last [m per finger]"""

    @property
    def undecided(self) -> float:
        """An action that changes nothing [m per finger]."""
        ...

    def update(self, action: float) -> float | None:
        """Takes the gripper's action [m per finger]; returns the new target [m per finger], or None if it stays."""
        ...


def gripper_target(gripper: Gripper, measured: float | None) -> GripperTarget:
    """What the embodiment's gripper is told, with the fingers where they were measured [m per finger]."""
    return GripperPosition(gripper, measured) if gripper.mode == "continuous" else GripperSwitch(gripper, measured)


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


class GripperPosition:
    """Passes a continuous gripper action on, between closed and open, when it has changed by the embodiment's resolution.

    What is nearer to an end of the way than that is the end, so that a gripper that is to close does.

    Args:
        gripper: of the embodiment.
        measured: where the fingers are at the beginning [m per finger]; what they are at is not told again.
    """

    def __init__(self, gripper: Gripper, measured: float | None) -> None:
        self._gripper = gripper
        self.target: float | None = measured

    @property
    def undecided(self) -> float:
        """An action that changes nothing [m per finger]."""
        return self._gripper.closed if self.target is None else self.target

    def update(self, action: float) -> float | None:
        """Takes the gripper's action [m per finger]; returns the new target [m per finger], or None if it stays."""
        closed, opened, resolution = self._gripper.closed, self._gripper.open, self._gripper.resolution
        wanted = closed if action < closed + resolution else opened if action > opened - resolution else action
        if wanted == self.target:
            return None
        if self.target is not None and wanted not in (closed, opened) and abs(wanted - self.target) < resolution:
            return None
        self.target = wanted
        return wanted
