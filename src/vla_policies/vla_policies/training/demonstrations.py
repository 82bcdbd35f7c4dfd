"""Episodes as arrays, and windows of them: an observation with the actions that followed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment, require_compatible
from vla_core.episodes import EpisodeReader
from vla_core.errors import EpisodeError
from vla_policies.spec import PolicySpec
from vla_policies.training.image_store import ImageStore, open_image_store


@dataclass(frozen=True, eq=False)
class Window:
    """A batch of observations with the actions that followed.

    Attributes:
        images: role to (B, H, W, 3) uint8 RGB, of the network's size.
        proprioception: group to (B, n) in its units.
        actions: (B, K, A) in their units: column k is meant k steps after the observation.
        is_pad: (B, K), True where the episode was over; there the last action is repeated.
    """

    images: Mapping[str, NDArray[np.uint8]]
    proprioception: Mapping[str, NDArray[np.float64]]
    actions: NDArray[np.float64]
    is_pad: NDArray[np.bool_]


class Demonstrations:
    """All rows of several episodes, one behind the other.

    Actions lie on a grid of whole steps per episode, so that an action's column says its time also where the recorder
    dropped a step; the gap is filled by linear interpolation between its neighbours, as the controllers would have moved.

    Attributes:
        embodiment: the robot that they were recorded with.
        proprioception: group to (N, n) in its units.
        lengths: rows of each episode.
    """

    def __init__(
        self, paths: Sequence[Path], spec: PolicySpec, embodiment: Embodiment, memory_limit_bytes: float
    ) -> None:
        """Reads everything but, beyond the memory limit, the images.

        Raises:
            EpisodeError: no episodes, or one that cannot be read.
            EmbodimentMismatch: an episode was recorded with a robot whose numbers mean something else.
        """
        if not paths:
            raise EpisodeError("expected at least one episode to train on, found none")
        rows = [_read_rows(path, spec, embodiment) for path in paths]
        self.embodiment = embodiment
        self.lengths = tuple(len(part.slots) for part in rows)
        self.proprioception = {
            group: np.concatenate([part.proprioception[group] for part in rows]) for group in rows[0].proprioception
        }
        self._actions = np.concatenate([part.actions for part in rows])  # (slots of all episodes, A)
        slot_counts = np.array([len(part.actions) for part in rows])
        first_slots = np.concatenate([[0], np.cumsum(slot_counts)[:-1]])
        self._slots = np.concatenate([part.slots + first for part, first in zip(rows, first_slots, strict=True)])
        self._last_slots = np.repeat(first_slots + slot_counts - 1, self.lengths)
        self._images: ImageStore = open_image_store(paths, self.lengths, spec.cameras, memory_limit_bytes)

    def __len__(self) -> int:
        """Rows of all episodes N."""
        return len(self._slots)

    def rows_of(self, episodes: Sequence[int]) -> NDArray[np.intp]:
        """The rows that belong to episodes, given by their places in the list."""
        starts = np.concatenate([[0], np.cumsum(self.lengths)])
        return np.concatenate([np.arange(starts[episode], starts[episode + 1]) for episode in episodes])

    def window(self, rows: NDArray[np.intp], action_horizon: int) -> Window:
        """Observations at these rows (B,) with the actions of the next ``action_horizon`` steps."""
        actions, is_pad = self.following_actions(rows, action_horizon)
        return Window(
            images=self._images.images(rows),
            proprioception={group: values[rows] for group, values in self.proprioception.items()},
            actions=actions,
            is_pad=is_pad,
        )

    def following_actions(
        self, rows: NDArray[np.intp], action_horizon: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The actions (B, K, A) from these rows on and where they are padding (B, K)."""
        slots = self._slots[rows, None] + np.arange(action_horizon)
        last = self._last_slots[rows, None]
        return self._actions[np.minimum(slots, last)], slots > last


@dataclass(frozen=True, eq=False)
class _Rows:
    """One episode: proprioception by row (T, n), the step number of each row (T,), and the action of every step."""

    proprioception: Mapping[str, NDArray[np.float64]]
    slots: NDArray[np.intp]
    actions: NDArray[np.float64]


def _read_rows(path: Path, spec: PolicySpec, embodiment: Embodiment) -> _Rows:
    with EpisodeReader(path) as reader:
        require_compatible(reader.info.metadata.embodiment, embodiment, f"episode {path}")
        stamps_ns, actions = reader.stamps_ns, reader.actions
        groups = dict.fromkeys(("qpos", *spec.proprioception))
        proprioception: dict[str, NDArray[np.float64]] = {group: reader.proprioception(group) for group in groups}
    for name, values in (("action", actions), *proprioception.items()):
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise EpisodeError(f"{path}: {name}: expected finite numbers, found {values[row]} at step {row}")
    slots = np.rint((stamps_ns - stamps_ns[0]) / embodiment.step_ns).astype(np.intp)
    return _Rows(proprioception, slots, _at_every_slot(slots, actions))


def _at_every_slot(slots: NDArray[np.intp], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (T, n) given at non-decreasing slots (T,), interpolated to all slots 0 ... slots[-1]."""
    distinct, first = np.unique(slots, return_index=True)
    every = np.arange(slots[-1] + 1)
    return np.stack([np.interp(every, distinct, column[first]) for column in values.T], axis=1)
