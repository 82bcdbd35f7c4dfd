"""Hyper-parameters of GR00T N1.5. The defaults are those of nvidia/GR00T-N1.5-3B and of the Eagle backbone that it names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field as Constraint

from vla_policies.heads.flow_matching_dit import FlowMatchingDitConfig
from vla_policies.pi0.config import SIGLIP_SO400M, SiglipShape, require_grouped_heads

Count = Annotated[int, Constraint(gt=0)]
Positive = Annotated[float, Constraint(gt=0)]

NEW_EMBODIMENT = 31
EMBODIMENTS = {"new_embodiment": NEW_EMBODIMENT, "oxe_droid": 17, "agibot_genie1": 26, "gr1": 24}
"""Tags of embodiments to the rows of their weights; NVIDIA/Isaac-GR00T, ``gr00t/data/embodiment_tags.py``"""


@dataclass(frozen=True)
class Qwen3Shape:
    """Sizes of a Qwen3 transformer; by default those of Qwen3-1.7B, of whose 28 layers GR00T keeps 12."""

    width: Count = 2048
    layers: Count = 12
    heads: Count = 16
    kv_heads: Count = 8
    head_dim: Count = 128
    mlp_dim: Count = 6144
    vocabulary: Count = 151680
    rope_theta: Positive = 1e6

    def __post_init__(self) -> None:
        require_grouped_heads(self.heads, self.kv_heads, self.head_dim)


@dataclass(frozen=True)
class EagleConfig:
    """The vision-language model: SigLIP2, one linear layer, Qwen3."""

    vision: SiglipShape = SIGLIP_SO400M
    language: Qwen3Shape = field(default_factory=Qwen3Shape)
    image_token: int = 151669
    """``<IMG_CONTEXT>``: where it stands, a patch of an image is put"""


@dataclass(frozen=True)
class SmallBackboneConfig:
    """A backbone that learns from scratch: a convolutional network and key points for each camera, a table for bytes of text."""

    key_points: Count = 32
    """per camera"""
    prompt_length: Count = 64
    """bytes of an instruction that are read"""


@dataclass(frozen=True)
class GrootConfig:
    """Everything about the network that the sizes of its inputs and outputs do not say."""

    backbone: Literal["eagle", "small"] = "eagle"
    eagle: EagleConfig = field(default_factory=EagleConfig)
    small: SmallBackboneConfig = field(default_factory=SmallBackboneConfig)
    head: FlowMatchingDitConfig = field(default_factory=FlowMatchingDitConfig)
    embodiment: Annotated[int, Constraint(ge=0)] = NEW_EMBODIMENT
    """whose weights are used, of the ``head.embodiments`` that there are"""
    tokenizer: str = ""
    """with ``eagle``: the path of Eagle's ``tokenizer.json``, or of a folder with ``vocab.json`` and ``merges.txt``"""
    default_prompt: str = "Perform the default behavior."
    """for an observation without an instruction"""
    prompt_as_list: bool = True
    """the instruction is written as a Python list of one text, which is how the published weights were trained"""
    image_crop: Annotated[float, Constraint(gt=0, le=1)] = 0.95
    """with ``eagle``: the share of the height and of the width of an image, around its centre, that is seen"""
    image_resize: Literal["bilinear", "bicubic"] = "bilinear"
    """with ``eagle``: as NVIDIA's code resizes what it cropped, or as Eagle's processor does, which is all that LeRobot uses"""
    noise_seed: Annotated[int, Constraint(ge=0)] = 0
    """all chunks are made of the same noise, so that they change no more than what is seen"""
    noise_scale: Annotated[float, Constraint(ge=0)] = 1.0
    """of that noise: 1, as in training, or less, down to 0, its mean, of which less is left in the chunk"""

    def __post_init__(self) -> None:
        if self.embodiment >= self.head.embodiments:
            raise ValueError(f"embodiment: expected one of 0 to {self.head.embodiments - 1}, found {self.embodiment}")
        if self.backbone == "eagle" and self.eagle.language.width != self.head.backbone_dim:
            raise ValueError(
                f"head.backbone_dim: expected the language model's width ({self.eagle.language.width}), "
                f"found {self.head.backbone_dim}"
            )
