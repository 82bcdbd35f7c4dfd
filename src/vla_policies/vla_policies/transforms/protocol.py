"""What every transform of vectors is: a pair of functions that undo each other, and plain data that say which."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]
Vector = Literal["qpos", "qvel", "effort", "action"]
ACTION_ONLY: tuple[Vector, ...] = ("action",)
POSITION_AND_ACTION: tuple[Vector, ...] = ("qpos", "action")


class Transform(Protocol):
    """A frozen dataclass: its fields are the keys of an entry of ``spec.transforms`` in ``config.yaml``.

    Values are (B, n) of proprioception and (B, K, n) of actions, in the units of the embodiment or as the entries before left
    them. ``anchor`` (B, m) is ``qpos`` at the observation, as the entries before left it.
    """

    @property
    def of(self) -> tuple[Vector, ...]:
        """The vectors that it is applied to."""
        ...

    def size(self, dims: int) -> int:
        """The dimensions behind it of a vector that has ``dims`` before it. Raises ValueError if it may not have so many."""
        ...

    def forward(self, values: Array, anchor: Array) -> Array:
        """From the robot's side to the network's."""
        ...

    def inverse(self, values: Array, anchor: Array) -> Array:
        """And back."""
        ...
