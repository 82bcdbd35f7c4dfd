"""Hyper-parameters of CrossFormer. The defaults are those of the published weights.

Source: rail-berkeley/crossformer, ``scripts/configs/pretrain_config.py`` with the transformer size ``detr``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field as Constraint

Count = Annotated[int, Constraint(gt=0)]
Share = Annotated[float, Constraint(ge=0, lt=1)]

STEM_STRIDE = 4  # of the first convolution and the pooling after it, together
EXPANSION = 4  # of channels in a bottleneck unit


@dataclass(frozen=True)
class ResNetShape:
    """Sizes of the image encoders. The published one is a ResNet-26."""

    width: Count = 64
    """channels after the stem; each stage after the first doubles them"""
    units: tuple[Count, ...] = (2, 2, 2, 2)
    """bottleneck units of each stage; all stages but the first halve the image"""
    norm_groups: Count = 32

    def __post_init__(self) -> None:
        if not self.units or self.width % self.norm_groups:
            raise ValueError(
                f"expected at least one stage and a width that is a multiple of norm_groups ({self.norm_groups}), "
                f"found the units {list(self.units)} and the width {self.width}"
            )

    @property
    def channels(self) -> int:
        """Of the feature map that comes out."""
        return EXPANSION * (self.width << (len(self.units) - 1))

    def tokens(self, height: int, width: int) -> int:
        """Cells of the feature map of an image [px]."""
        stride = STEM_STRIDE << (len(self.units) - 1)
        return -(-height // stride) * -(-width // stride)


@dataclass(frozen=True)
class Trunk:
    """What all robots share: the sizes of the encoders and of the transformer."""

    token_dim: Count = 512
    layers: Count = 12
    mlp_dim: Count = 2048
    heads: Count = 8
    dropout: Share = 0.1
    max_horizon: Count = 10
    """longest history that there are position embeddings for; the published weights saw 5 steps in training"""
    language_dim: Count = 512
    encoder: ResNetShape = ResNetShape()

    def __post_init__(self) -> None:
        if self.token_dim % self.heads:
            raise ValueError(f"token_dim: expected a multiple of heads ({self.heads}), found {self.token_dim}")


@dataclass(frozen=True)
class ImageGroup:
    """A camera: its image encoder and its tokens."""

    goal: bool = False
    """the goal's image of this camera is stacked onto the observation's, channel by channel"""
    film: bool = True
    """the encoder is conditioned on language"""
    tokens: Count = 49
    """of an image; 7x7 cells for 224x224 pixels"""
    key_points: Annotated[int, Constraint(ge=0)] = 0
    """0: every cell of the feature map is a token. Else there is one token, of where so many maps are largest, which is learned
    from fewer demonstrations; the published weights have none"""

    def __post_init__(self) -> None:
        if self.key_points and self.tokens != 1:
            raise ValueError(f"tokens: expected 1 with key_points, found {self.tokens}")


@dataclass(frozen=True)
class VectorGroup:
    """Proprioception: each number is a token."""

    size: Count
    dropout: Share = 0.0
    """of the numbers, in training"""


@dataclass(frozen=True)
class Readout:
    """Readout tokens of an embodiment and what they become."""

    horizon: Count
    """actions of a chunk; each has a readout token"""
    action_dim: Count
    max_action: Annotated[float, Constraint(gt=0)] | None = None
    """actions are squashed into plus and minus this; None: they are not"""


@dataclass(frozen=True)
class Ends:
    """The groups of tokens by name, in the order in which a time step has them: images, then vectors, then readouts."""

    images: Mapping[str, ImageGroup] = field(default_factory=dict)
    vectors: Mapping[str, VectorGroup] = field(default_factory=dict)
    readouts: Mapping[str, Readout] = field(default_factory=dict)


PUBLISHED_ENDS = Ends(
    images={
        "primary": ImageGroup(goal=True),
        "high": ImageGroup(goal=True),
        "nav": ImageGroup(goal=True, film=False),
        "left": ImageGroup(),
        "right": ImageGroup(),
    },
    vectors={"bimanual": VectorGroup(14, dropout=0.2), "quadruped": VectorGroup(46)},
    readouts={
        "bimanual": Readout(100, 14),
        "single_arm": Readout(4, 7),
        "nav": Readout(4, 2),
        "quadruped": Readout(1, 12),
    },
)


@dataclass(frozen=True)
class CrossFormerConfig:
    """A CrossFormer that acts on one robot.

    Without ``ends`` it is made for the robot at hand: a group of tokens for each camera and one for the state, and one head.
    With them, which is how published weights are read, ``cameras``, ``state`` and ``head`` say which of them the robot uses.
    """

    trunk: Trunk = Trunk()
    ends: Ends | None = None
    cameras: tuple[str, ...] = ()
    """image group of each camera of the policy, in its order; only with ``ends``"""
    state: str | None = None
    """vector group that the state goes to, if any; only with ``ends``"""
    head: str = "joint"
    """the readout that acts"""
    image_size: tuple[Count, Count] = (224, 224)
    """height and width of all images [px]; only without ``ends``, as the two below"""
    key_points: Annotated[int, Constraint(ge=0)] = 0
    """of each camera; 0: every cell of its feature map is a token"""
    state_dropout: Share = 0.0
    """of the state's numbers, in training"""
    language: Literal["none", "hashed", "table"] = "hashed"
    """``hashed``: embeddings made from the words' hashes, to train from scratch with; ``table``: those of an encoder, kept with
    the weights, of ``instructions``"""
    instructions: tuple[str, ...] = ()
    """in the order of the table; only with ``language: table``"""
    history: Count = 1
    """observations that it sees when it acts: the last ones that it was asked for"""
    goals: Mapping[str, str] = field(default_factory=dict)
    """file of the goal's image by image group; with goals the instruction is usually the empty one"""

    def __post_init__(self) -> None:
        if self.history > self.trunk.max_horizon:
            raise ValueError(f"history: expected at most max_horizon ({self.trunk.max_horizon}), found {self.history}")
        if (self.language == "table") != bool(self.instructions):
            raise ValueError(
                f"instructions: expected some exactly with 'language: table', found {len(self.instructions)} with "
                f"'{self.language}'"
            )
        if self.ends is None:
            if self.cameras or self.state is not None or self.goals:
                raise ValueError("cameras, state, goals: expected only with ends, found without")
            return
        self._require_ends(self.ends)

    def _require_ends(self, ends: Ends) -> None:
        chosen = {"readouts": [self.head], "images": list(self.cameras), "vectors": [self.state] if self.state else []}
        for kind, names in chosen.items():
            there = list(getattr(ends, kind))
            for name in names:
                if name not in there:
                    raise ValueError(f"ends.{kind}: expected '{name}' among them, found {there}")
        for group in self.goals:
            if group not in self.cameras or not ends.images[group].goal:
                raise ValueError(
                    f"goals: expected groups of the cameras that are conditioned on goals, found '{group}'"
                )
        if len(set(self.cameras)) != len(self.cameras):
            raise ValueError(f"cameras: expected each group once, found {list(self.cameras)}")
        film = [name for name in self.cameras if ends.images[name].film]
        if film and self.language == "none":
            raise ValueError(f"language: expected embeddings for the image groups {film}, found 'none'")
