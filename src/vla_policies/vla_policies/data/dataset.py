"""A data set of windows over any number of episodes, for ``torch.utils.data.DataLoader`` and for training of our own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from vla_core.embodiment import Embodiment
from vla_policies.data.image_store import open_image_store
from vla_policies.data.index import INDEX_FILE, episode_paths, read_index
from vla_policies.data.rows import Rows
from vla_policies.data.window import Window, WindowSpec
from vla_policies.errors import WindowError


class EpisodeDataset(Dataset[dict[str, Any]]):
    """Windows of episodes of ours, or of ALOHA's and ACT's own files.

    Every step at which a window may begin is one item. Numbers are in memory; images are read when they are asked for, from
    files mapped into memory, or are all decoded at once if they fit into a limit. Nothing is random here: an item depends on
    its index only, in whichever process. It can be pickled, and each process maps the files itself.

    Attributes:
        paths: of the episodes.
        spec: what was asked for.
        horizon: actions of a window.
        embodiment: the robot of the first episode; None for files that do not say.
        rows: the numbers of all episodes.
    """

    def __init__(
        self,
        source: Path | str | Iterable[Path | str],
        spec: WindowSpec,
        cache: bool | Path = False,
        memory_limit_bytes: float = 0.0,
    ) -> None:
        """Indexes the episodes: one pass over the files, in which no image is read.

        Args:
            source: a folder, a file, or a list of files.
            spec: which windows.
            cache: keep the index beside the first episode, as ``episodes.index``, or in this file. It is used as long as size
                and time of change of each file are what they were, else made anew.
            memory_limit_bytes: decode all images now and keep them, if this is enough for them.

        Raises:
            EpisodeError: no episodes, or one that cannot be read, is truncated, or is being recorded.
            EmbodimentMismatch: the episodes do not fit together.
            WindowError: they lack a camera or group that is asked for.
        """
        self.spec = spec
        self.paths = tuple(episode_paths(source))
        beside = self.paths[0].parent / INDEX_FILE
        episodes = read_index(self.paths, (beside if cache is True else cache) or None)
        self.embodiment: Embodiment | None = episodes[0].embodiment
        self._images = open_image_store(episodes, spec.cameras, memory_limit_bytes)
        self.rows = Rows(episodes, tuple(self._images.sizes), spec)
        self.horizon = spec.horizon or int(self.rows.lengths.max())
        self._prompts = list(dict.fromkeys(prompt for episode in episodes for prompt in episode.prompts))
        numbers = {prompt: number for number, prompt in enumerate(self._prompts)}
        self._prompt_of_row = np.concatenate(
            [np.array([numbers[prompt] for prompt in one.prompts])[one.prompt_index] for one in episodes]
        )

    def __len__(self) -> int:
        """Number of windows: steps at which one may begin."""
        return len(self.rows.drawable)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One window as tensors: :meth:`Window.tensors` without the axis of the batch."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> Samples:
        """Several windows, read in one go: torch's DataLoader asks for all of a batch at once."""
        return Samples(self.window(np.asarray(indices, np.intp)))

    def window(self, indices: NDArray[np.intp], horizon: int | None = None) -> Window:
        """The windows of these indices (B,), with another number of actions if one is given.

        Raises:
            EpisodeError: an image cannot be read, or a file is not the one that was indexed.
        """
        rows = self.rows.drawable[indices]
        observed, observation_is_pad = self.rows.history(rows)
        actions, action_is_pad, policy_drives = self.rows.actions(rows, horizon or self.horizon)
        return Window(
            images=self._images.images(observed),
            proprioception={group: values[observed] for group, values in self.rows.vectors.items()},
            observation_is_pad=observation_is_pad,
            actions=actions,
            action_is_pad=action_is_pad,
            valid=self.rows.valid[observed],
            policy_drives=policy_drives,
            prompts=tuple(self._prompts[number] for number in self._prompt_of_row[rows]),
            episodes=self.rows.episodes[rows],
            steps=rows - self.rows.starts[self.rows.episodes[rows]],
        )

    def indices_of(self, episodes: Sequence[int]) -> NDArray[np.intp]:
        """The windows that begin in episodes, given by their places in ``paths``; one episode behind the other."""
        drawable = self.rows.episodes[self.rows.drawable]
        return np.concatenate([np.flatnonzero(drawable == episode) for episode in episodes] or [np.zeros(0, np.intp)])

    def index_of(self, episode: int, step: int) -> int:
        """The window that begins at a row of an episode. Raises WindowError if none does."""
        row = self.rows.starts[episode] + step
        index = int(np.searchsorted(self.rows.drawable, row))
        if not 0 <= step < self.rows.lengths[episode] or self.rows.drawable[index : index + 1] != row:
            raise WindowError(f"{self.paths[episode]}: expected a step at which a window may begin, found {step}")
        return index

    def observed(self, group: str) -> NDArray[np.float64]:
        """A proprioception group at every step at which a window begins (len, n)."""
        return self.rows.vectors[group][self.rows.drawable]

    def following_actions(
        self, indices: NDArray[np.intp], horizon: int | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The actions (B, K, A) of windows, and where they are padding (B, K)."""
        actions, is_pad, _ = self.rows.actions(self.rows.drawable[indices], horizon or self.horizon)
        return actions, is_pad


class Samples(Sequence[dict[str, Any]]):
    """The windows of a batch as samples: views on the batch, which stays in one piece.

    Attributes:
        window: the batch.
    """

    def __init__(self, window: Window) -> None:
        self.window = window

    @cached_property
    def _tensors(self) -> dict[str, Any]:
        return self.window.tensors()

    def __len__(self) -> int:
        return len(self.window)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return {
            name: {key: tensor[index] for key, tensor in values.items()} if isinstance(values, dict) else values[index]
            for name, values in self._tensors.items()
        }
