"""CrossFormer: one transformer for many robots. What a robot has becomes tokens; what acts reads them out.

Source: Doshi et al., "Scaling Cross-Embodied Learning: One Policy for Manipulation, Navigation, Locomotion and Aviation"
(arXiv 2408.11812), with the code of rail-berkeley/crossformer::

    images (+ goal images) ─ ResNet, FiLM on language ─┐
    proprioception ───────── a token per number ───────┤ transformer ── readouts of a robot's head ── its actions (K, A)
    zeros ────────────────── readout tokens ───────────┘

A robot that lacks a camera or a group of numbers leaves it out: its tokens are then not in the sequence at all.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_policies.backbones.key_points import key_points
from vla_policies.crossformer.attention import Group, attention_mask
from vla_policies.crossformer.config import Ends, ImageGroup, Trunk
from vla_policies.crossformer.resnet import ResNet
from vla_policies.crossformer.transformer import Transformer
from vla_policies.heads.readout_l1 import ReadoutL1Head

_POSITION_STD = 0.02
BLACK = -1.0  # a normalised pixel; a goal that is not given is an image of them


@dataclass(frozen=True, eq=False)
class History:
    """What a robot saw, T steps up to now, oldest first. Groups that it lacks are left out.

    Attributes:
        images: by group (B, T, 3, H, W), from -1 (black) to 1.
        vectors: by group (B, T, n), normalised.
        valid: (B, T) bool, False for steps before the first observation, which are filled with anything.
        image_valid: by image group (B, T) bool, False where the image is missing; a group that is not there has all of them.
    """

    images: Mapping[str, Tensor]
    vectors: Mapping[str, Tensor]
    valid: Tensor
    image_valid: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Task:
    """What the robot is to do. With a goal image the language is the embedding of the empty instruction, not zeros.

    Attributes:
        language: embedding (B, e); needed by encoders with FiLM.
        goals: by group (B, 3, H, W), from -1 to 1; a goal that is not there is black.
    """

    language: Tensor | None = None
    goals: Mapping[str, Tensor] = field(default_factory=dict)


class CrossFormer(nn.Module):
    """The network with the tokens and heads of many robots. B batch, T steps, K actions, A their dimensions, d token_dim."""

    def __init__(self, trunk: Trunk, ends: Ends) -> None:
        super().__init__()
        self.trunk = trunk
        self.ends = ends
        dim, horizon = trunk.token_dim, trunk.max_horizon
        self.backbones = nn.ModuleDict({name: _encoder(trunk, group) for name, group in ends.images.items()})
        self.key_points = nn.ModuleDict(
            {
                name: nn.Conv2d(trunk.encoder.channels, group.key_points, 1)
                for name, group in ends.images.items()
                if group.key_points
            }
        )
        widths = {name: 2 * group.key_points or trunk.encoder.channels for name, group in ends.images.items()}
        widths |= dict.fromkeys(ends.vectors, 1)
        self.projections = nn.ModuleDict({name: nn.Linear(width, dim) for name, width in widths.items()})
        counts = {name: group.tokens for name, group in ends.images.items()}
        counts |= {name: group.size for name, group in ends.vectors.items()}
        self.positions = nn.ParameterDict({name: _position(horizon, count, dim) for name, count in counts.items()})
        self.readout_positions = nn.ParameterDict(
            {name: _position(horizon, readout.horizon, dim) for name, readout in ends.readouts.items()}
        )
        self.transformer = Transformer(trunk)
        self.heads = nn.ModuleDict(
            {
                name: ReadoutL1Head(dim, readout.horizon, readout.action_dim, readout.max_action)
                for name, readout in ends.readouts.items()
            }
        )

    def act(self, history: History, task: Task, head: str) -> Tensor:
        """The normalised actions (B, K, A) of a head at the last step. The other heads' readouts are left out."""
        return self.heads[head](self.readouts(history, task, (head,))[head][:, -1])

    def readouts(self, history: History, task: Task, heads: Sequence[str] | None = None) -> dict[str, Tensor]:
        """What heads turn into actions, by head (B, T, K, d) at every step; by default of all heads."""
        wanted = tuple(self.ends.readouts if heads is None else heads)
        encoded = self.encode(history, task, wanted)
        return {name: encoded[name] for name in wanted}

    def encode(self, history: History, task: Task, heads: Sequence[str]) -> dict[str, Tensor]:
        """All tokens (B, T, n, d) after the transformer: by observation group as ``obs_<name>``, and by head."""
        groups = self.groups(history, task, heads)
        timesteps = history.valid.shape[1]
        sequence, position = (
            torch.cat(parts, dim=2).flatten(1, 2)
            for parts in ([group.tokens for group in groups.values()], [group.position for group in groups.values()])
        )
        encoded = self.transformer(sequence, position, attention_mask(list(groups.values())))
        split = encoded.unflatten(1, (timesteps, -1)).split([group.count for group in groups.values()], dim=2)
        return dict(zip(groups, split, strict=True))

    def groups(self, history: History, task: Task, heads: Sequence[str]) -> dict[str, Group]:
        """What goes into the transformer, in the order of the sequence, by the names of :meth:`encode`."""
        made = {}
        timesteps = history.valid.shape[1]
        if timesteps > self.trunk.max_horizon:
            raise ValueError(f"expected a history of at most {self.trunk.max_horizon} steps, found {timesteps}")
        for name in self.ends.images:
            if name in history.images:
                tokens = self._image_tokens(name, history.images[name], task)
                valid = history.valid & history.image_valid.get(name, torch.ones_like(history.valid))
                made[f"obs_{name}"] = Group(tokens, self.positions[name][:, :timesteps], valid)
        for name, vector in self.ends.vectors.items():
            if name in history.vectors:
                numbers = F.dropout(history.vectors[name], vector.dropout, self.training)
                tokens = self.projections[name](numbers[..., None])
                made[f"obs_{name}"] = Group(tokens, self.positions[name][:, :timesteps], history.valid)
        for name in heads:
            position = self.readout_positions[name][:, :timesteps]
            made[name] = Group(torch.zeros_like(position).expand(len(history.valid), -1, -1, -1), position, None)
        return made

    def _image_tokens(self, name: str, images: Tensor, task: Task) -> Tensor:
        """Images (B, T, 3, H, W) to tokens (B, T, n, d): the cells of the feature map row by row, or its key points."""
        batch, timesteps = images.shape[:2]
        group = self.ends.images[name]
        if group.goal:
            goal = task.goals.get(name, torch.full_like(images[:, 0], BLACK))
            images = torch.cat([images, goal[:, None].expand_as(images)], dim=2)
        embedding = None
        if group.film:
            if task.language is None:
                raise ValueError(f"expected an embedding of the instruction for the image group '{name}', found none")
            embedding = task.language.repeat_interleave(timesteps, dim=0)
        features = self.backbones[name](images.flatten(0, 1), embedding)
        if group.key_points:
            cells = key_points(self.key_points[name](features)).flatten(1)[:, None]
        else:
            cells = features.flatten(2).transpose(1, 2)
        if cells.shape[1] != group.tokens:
            height, width = images.shape[-2:]
            raise ValueError(
                f"image group '{name}': expected images of {group.tokens} tokens, found {cells.shape[1]} of {width}x{height} px"
            )
        return self.projections[name](cells).unflatten(0, (batch, timesteps))


def normalise_pixels(images: Tensor) -> Tensor:
    """Images (..., H, W, 3) with values from 0 to 255 to (..., 3, H, W) from -1 to 1, as the encoders take them."""
    return images.movedim(-1, -3).float() / 127.5 - 1.0


def _encoder(trunk: Trunk, group: ImageGroup) -> ResNet:
    return ResNet(trunk.encoder, 6 if group.goal else 3, trunk.language_dim if group.film else None)


def _position(horizon: int, count: int, dim: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(1, horizon, count, dim).normal_(std=_POSITION_STD))
