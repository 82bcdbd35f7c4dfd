"""Windows of episodes: observations with the actions that followed, and what is asked for when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from vla_core.errors import choice
from vla_policies.errors import WindowError
from vla_policies.spec import ImageSize

_CHOICES = {
    "padding": ("repeat", "zeros"),
    "gaps": ("interpolated", "ignored"),
    "alignment": ("stamps", "act"),
    "marked": ("skipped", "kept"),
    "drivers": ("all", "human", "policy"),
}


@dataclass(frozen=True)
class WindowSpec:
    """Which windows are made of episodes.

    Attributes:
        horizon: actions of a window; None: as many as the longest episode has steps.
        history: observations of a window, the last of which is the one that the actions begin at.
        cameras: roles in the order in which they are wanted, with the size of the images; of a mere name, at their own size.
            None: all of them.
        proprioception: groups that are wanted.
        padding: what the actions behind the end of an episode are: the last one again, or zeros.
        gaps: where the recorder dropped steps, ``interpolated``: an action's place in the window tells its time, those of the
            dropped steps lie between their neighbours, and an observation of the history is the latest one at its time;
            ``ignored``: rows are counted as they are in the file.
        alignment: ``stamps``: an action belongs to the time of its step. ``act``: as ACT's loader does, where the attribute
            ``sim`` of the file is false the actions begin one step earlier.
        marked: whether steps with a value that is marked as out of its tolerance (``on_missing: mark``) are kept. If they
            are ``skipped``, no window begins there, and within a window they count as padding.
        drivers: at which steps windows begin: all, those where a human drove, or those where a policy did. Actions of the
            others count as padding.
    """

    horizon: int | None
    history: int = 1
    cameras: tuple[str, ...] | Mapping[str, ImageSize] | None = None
    proprioception: tuple[str, ...] = ("qpos",)
    padding: Literal["repeat", "zeros"] = "repeat"
    gaps: Literal["interpolated", "ignored"] = "interpolated"
    alignment: Literal["stamps", "act"] = "stamps"
    marked: Literal["skipped", "kept"] = "skipped"
    drivers: Literal["all", "human", "policy"] = "all"

    def __post_init__(self) -> None:
        for name, count in (("horizon", self.horizon), ("history", self.history)):
            if count is not None and count < 1:
                raise WindowError(f"windows: {name}: expected at least 1, found {count}")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise WindowError(f"windows: {name}: expected {choice(known)}, found '{getattr(self, name)}'")


@dataclass(frozen=True, eq=False)
class Window:
    """A batch of windows. Masks are true where there is padding: what is there must not count.

    Attributes:
        images: role to (B, n, H, W, 3) uint8 RGB, the oldest observation first.
        proprioception: group to (B, n, d) float64 in its units.
        observation_is_pad: (B, n), true before the beginning of the episode; there the first observation is repeated.
        actions: (B, K, A) float64 in their units: column k is meant k steps after the last observation.
        action_is_pad: (B, K), true behind the end of the episode; there is what the spec's ``padding`` says.
        valid: (B, n), whether everything in the observation is within its tolerance.
        policy_drives: (B, K), whether a policy was executed when the action was.
        prompts: language instruction at the last observation.
        episodes: place of the episode in the data set (B,).
        steps: row of the last observation in its episode (B,).
    """

    images: Mapping[str, NDArray[np.uint8]]
    proprioception: Mapping[str, NDArray[np.float64]]
    observation_is_pad: NDArray[np.bool_]
    actions: NDArray[np.float64]
    action_is_pad: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    policy_drives: NDArray[np.bool_]
    prompts: tuple[str, ...]
    episodes: NDArray[np.intp]
    steps: NDArray[np.intp]

    def __len__(self) -> int:
        """The size of the batch B."""
        return len(self.steps)

    @property
    def last_images(self) -> dict[str, NDArray[np.uint8]]:
        """Role to the images of the last observation (B, H, W, 3)."""
        return {role: images[:, -1] for role, images in self.images.items()}

    @property
    def last_proprioception(self) -> dict[str, NDArray[np.float64]]:
        """Group to the vectors of the last observation (B, d)."""
        return {group: values[:, -1] for group, values in self.proprioception.items()}

    def tensors(self) -> dict[str, Any]:
        """The same as a dictionary of tensors by attribute, numbers float32; ``prompts`` stays a list of strings."""
        groups = {name: torch.from_numpy(np.float32(values)) for name, values in self.proprioception.items()}
        names = ("observation_is_pad", "action_is_pad", "valid", "policy_drives", "episodes", "steps")
        return {
            "images": {role: torch.from_numpy(images) for role, images in self.images.items()},
            "proprioception": groups,
            "actions": torch.from_numpy(np.float32(self.actions)),
            **{name: torch.from_numpy(getattr(self, name)) for name in names},
            "prompts": list(self.prompts),
        }
