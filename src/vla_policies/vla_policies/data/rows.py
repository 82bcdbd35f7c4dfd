"""The numbers of all episodes, one behind the other, and which of them belong into a window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_core.episodes.indexed import IndexedEpisode
from vla_core.errors import EpisodeError, choice
from vla_policies.data.window import WindowSpec
from vla_policies.errors import WindowError

ACTION = "action"


class Rows:
    """All rows of several episodes, and the actions of every step in between.

    A row is an observation that was recorded. A slot is a step in time at which there is an action: one for each row and, with
    ``gaps: interpolated``, one for each step that the recorder dropped. Both are counted over all episodes.

    Attributes:
        lengths: rows of each episode (E,).
        starts: first row of each episode, and behind the last one the number of rows (E + 1,).
        episodes: the episode of each row (N,).
        vectors: proprioception group to (N, n) float64.
        valid: whether everything that is wanted of a row is within its tolerance (N,).
        drawable: rows that a window may begin at (M,).
    """

    def __init__(self, episodes: Sequence[IndexedEpisode], cameras: Sequence[str], spec: WindowSpec) -> None:
        """Raises WindowError where the episodes lack what is wanted, EpisodeError where no window can begin."""
        groups = tuple(name for name in episodes[0].vectors if name != ACTION)
        for group in spec.proprioception:
            if group not in groups:
                raise WindowError(
                    f"windows: proprioception: expected {choice(groups)}, found '{group}' ({episodes[0].path})"
                )
        self._spec = spec
        self.lengths = np.array([len(episode) for episode in episodes])
        self.starts = np.cumsum([0, *self.lengths])
        self.episodes = np.repeat(np.arange(len(episodes)), self.lengths)
        self.vectors = {
            group: np.concatenate([episode.vectors[group] for episode in episodes]) for group in spec.proprioception
        }
        self.valid = np.concatenate([_valid(episode, cameras, spec.proprioception) for episode in episodes])
        self._drives = np.concatenate([episode.policy_drives for episode in episodes])
        self._set_slots(episodes)
        self.drawable = np.flatnonzero(self._may_begin())
        if not len(self.drawable):
            raise EpisodeError(
                f"expected steps at which a window may begin (marked: {spec.marked}, drivers: {spec.drivers}), "
                f"found none among {len(self.valid)}"
            )

    def history(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """The rows of the observations of windows at these rows (B,), and where they are padding (B, n) each."""
        first = self.starts[self.episodes[rows], None]
        wanted = self._slots[rows, None] - np.arange(self._spec.history - 1, -1, -1)
        found = np.searchsorted(self._slots, wanted, side="right") - 1
        found[:, -1] = rows  # two rows may be so close that they share a slot
        is_pad = wanted < self._slots[first]
        found = np.maximum(found, first)
        return found, is_pad | ~self._counts[found]

    def actions(
        self, rows: NDArray[np.intp], horizon: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """The actions (B, K, A) of windows at these rows, where they are padding, and where a policy drove (B, K)."""
        slots = self._first_actions[rows, None] + np.arange(horizon)
        last = self._last_slots[rows, None]
        past_end = slots > last
        slots = np.minimum(slots, last)
        actions = self._actions[slots]
        if self._spec.padding == "zeros":
            actions[past_end] = 0.0
        return actions, past_end | ~self._action_counts[slots], self._action_drives[slots] & ~past_end

    def _set_slots(self, episodes: Sequence[IndexedEpisode]) -> None:
        """Lays the actions of all episodes out in slots."""
        parts = [_slots(episode, self._spec.gaps) for episode in episodes]
        counts = np.array([part[-1] + 1 for part in parts])
        starts = np.cumsum(counts) - counts
        self._slots = np.concatenate([part + start for part, start in zip(parts, starts, strict=True)])
        self._last_slots = np.repeat(starts + counts - 1, self.lengths)
        first = np.repeat(starts, self.lengths)
        early = np.repeat([_acts_early(episode, self._spec) for episode in episodes], self.lengths)
        self._first_actions = np.maximum(self._slots - early, first)
        self._actions = np.concatenate(
            [_at_every_slot(part, one.vectors[ACTION]) for part, one in zip(parts, episodes, strict=True)]
        )
        before, after = (np.concatenate(side) for side in zip(*map(_neighbours, parts), strict=True))
        rows_before = before + np.repeat(self.starts[:-1], counts)
        rows_after = after + np.repeat(self.starts[:-1], counts)
        self._action_drives = self._drives[rows_before]
        true_actions = np.concatenate([_valid_actions(episode) for episode in episodes])
        counts_here = self._is_driven_right(self._action_drives)
        if self._spec.marked == "skipped":
            counts_here &= true_actions[rows_before] & true_actions[rows_after]
        self._action_counts = counts_here
        self._counts = self.valid if self._spec.marked == "skipped" else np.ones_like(self.valid)

    def _may_begin(self) -> NDArray[np.bool_]:
        return self._counts & self._is_driven_right(self._drives)

    def _is_driven_right(self, drives: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if self._spec.drivers == "all":
            return np.ones_like(drives)
        return drives.copy() if self._spec.drivers == "policy" else ~drives


def _valid(episode: IndexedEpisode, cameras: Sequence[str], groups: Sequence[str]) -> NDArray[np.bool_]:
    """Where all that is wanted of the observations is within its tolerance (T,)."""
    references = [field for group in groups for field in _fields(episode.embodiment, group)]
    return _all_valid(episode, {*cameras, *(reference.partition(".")[0] for reference in references)})


def _valid_actions(episode: IndexedEpisode) -> NDArray[np.bool_]:
    fields = episode.embodiment.action.fields if episode.embodiment else ()
    return _all_valid(episode, {reference.partition(".")[0] for reference in fields})


def _fields(embodiment: Embodiment | None, group: str) -> tuple[str, ...]:
    return embodiment.proprioception[group] if embodiment else ()  # type: ignore[index]


def _all_valid(episode: IndexedEpisode, sources: set[str]) -> NDArray[np.bool_]:
    valid = np.ones(len(episode), bool)
    for source in sources & set(episode.valid):
        valid &= episode.valid[source]
    return valid


def _acts_early(episode: IndexedEpisode, spec: WindowSpec) -> bool:
    if spec.alignment == "stamps":
        return False
    if episode.sim is None:
        raise EpisodeError(
            f"{episode.path}: expected the attribute 'sim', which ACT's alignment depends on, found none"
        )
    return not episode.sim


def _slots(episode: IndexedEpisode, gaps: str) -> NDArray[np.intp]:
    """The slot of each row (T,), from 0 on, not decreasing."""
    if gaps == "ignored" or episode.embodiment is None:
        return np.arange(len(episode))
    steps = np.rint((episode.stamps_ns - episode.stamps_ns[0]) / episode.embodiment.step_ns)
    return np.asarray(steps, np.intp)


def _at_every_slot(slots: NDArray[np.intp], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (T, n) given at non-decreasing slots (T,), interpolated to all slots 0 ... slots[-1]."""
    distinct, first = np.unique(slots, return_index=True)
    if len(distinct) == slots[-1] + 1:
        return values[first]
    every = np.arange(slots[-1] + 1)
    return np.stack([np.interp(every, distinct, column[first]) for column in values.T], axis=1)


def _neighbours(slots: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For every slot 0 ... slots[-1] the rows between which its action lies; twice the same one where there is a row."""
    distinct, first = np.unique(slots, return_index=True)
    every = np.arange(slots[-1] + 1)
    return first[np.searchsorted(distinct, every, "right") - 1], first[np.searchsorted(distinct, every, "left")]
