"""Hyper-parameters of pi0 and pi0.5. The defaults are those of the published base models.

Source: Physical-Intelligence/openpi, ``models/pi0_config.py``, ``models/gemma.py`` and ``models/siglip.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field as Constraint

from vla_policies.heads.flow_matching import FlowShape

Count = Annotated[int, Constraint(gt=0)]


def require_grouped_heads(heads: int, kv_heads: int, head_dim: int) -> None:
    """Raises ValueError unless heads can share keys and values in groups of one size, and be rotated by pairs."""
    if heads % kv_heads or head_dim % 2:
        raise ValueError(
            f"expected heads that are a multiple of kv_heads and an even head_dim, "
            f"found {heads}, {kv_heads} and {head_dim}"
        )


@dataclass(frozen=True)
class GemmaShape:
    """Sizes of a Gemma transformer."""

    width: Count
    depth: Count
    mlp_dim: Count
    heads: Count = 8
    kv_heads: Count = 1
    head_dim: Count = 256

    def __post_init__(self) -> None:
        require_grouped_heads(self.heads, self.kv_heads, self.head_dim)


@dataclass(frozen=True)
class SiglipShape:
    """Sizes of a SigLIP vision transformer; an image of ``image`` pixels has (image / patch)^2 tokens."""

    width: Count
    depth: Count
    mlp_dim: Count
    heads: Count
    patch: Count = 14
    image: Count = 224

    def __post_init__(self) -> None:
        if self.width % self.heads or self.image < self.patch:
            raise ValueError(
                f"expected a width that is a multiple of heads and an image of at least a patch, "
                f"found {self.width}, {self.heads}, {self.image} and {self.patch}"
            )


GEMMA_2B = GemmaShape(width=2048, depth=18, mlp_dim=16384)
GEMMA_300M = GemmaShape(width=1024, depth=18, mlp_dim=4096)
SIGLIP_SO400M = SiglipShape(width=1152, depth=27, mlp_dim=4304, heads=16)
PALIGEMMA_VOCABULARY = 257152
LONGEST_PROMPT = 8192  # far beyond any: a configuration must not be able to ask for all the memory
GEMMAS = {"gemma_2b": GEMMA_2B, "gemma_300m": GEMMA_300M}  # openpi's names


@dataclass(frozen=True)
class Pi0Config:
    """Everything about the network that the sizes of its inputs and outputs do not say."""

    vlm: GemmaShape = GEMMA_2B
    expert: GemmaShape = GEMMA_300M
    """must have the vlm's depth, heads, kv_heads and head_dim: they attend to each other layer by layer"""
    vision: SiglipShape = SIGLIP_SO400M
    image_encoder: Literal["siglip", "key_points"] = "siglip"
    """``key_points``: a small convolutional network per camera and one token of where its channels are active; to learn from
    scratch. ``vision`` has no effect then"""
    key_points: Count = 32
    """per camera, with ``image_encoder: key_points``"""
    vocabulary: Count = PALIGEMMA_VOCABULARY
    tokenizer: str = ""
    """path of a SentencePiece model (``paligemma_tokenizer.model``); without one, bytes are the tokens"""
    prompt_length: Annotated[int, Constraint(gt=0, le=LONGEST_PROMPT)] = 48
    """tokens of the prompt, padded"""
    pad_prompts: bool = True
    """False: only as far as the longest of the batch; the same actions for less work, but tensors of changing sizes"""
    default_prompt: str = ""
    """where an observation has none"""
    action_dim: Count = 32
    """of the network: actions and states are padded to it"""
    conditioning: Literal["concat_time", "ada_rms"] = "concat_time"
    state_input: Literal["token", "text", "none"] = "token"
    """``text``: in 256 steps from -1 to 1, so it must be normalised by quantiles; ``none``: as openpi's pi05_libero"""
    loss_dims: Literal["all", "real"] = "all"
    """whether padded action dimensions are trained, too, as in openpi"""
    sampling_steps: Count = 10
    accumulated_times: bool = True
    """as openpi computes its times; False: as LeRobot"""
    precision: Literal["float32", "bfloat16", "bfloat16_but_vision"] = "float32"
    """of the towers; what openpi and, with ``bfloat16_but_vision``, LeRobot keep in 32 bits is so here, too"""
    antialias: bool = True
    """of images that are made smaller; LeRobot does not"""
    noise_seed: Annotated[int, Constraint(ge=0)] = 0
    """of the noise that every chunk is made of"""
    noise_scale: Annotated[float, Constraint(ge=0)] = 1.0
    """of that noise: 1, as in training, or less, down to 0, its mean, of which less is left in the chunk"""
    trained_prefix: Annotated[int, Constraint(ge=0)] = 0
    """train with up to so many first actions known, so that chunks can go on from them without guidance"""

    def __post_init__(self) -> None:
        shared = ("depth", "heads", "kv_heads", "head_dim")
        found = [(name, getattr(self.vlm, name), getattr(self.expert, name)) for name in shared]
        differing = [f"{name} {ours} and {theirs}" for name, ours, theirs in found if ours != theirs]
        if differing:
            raise ValueError(f"expected a vlm and an expert of the same {', '.join(shared)}, found {differing}")
        if self.expert.width % 2:
            raise ValueError(f"expert.width: expected an even number, found {self.expert.width}")
        if self.conditioning == "ada_rms" and self.state_input == "token":
            raise ValueError("state_input: expected 'text' or 'none' with 'ada_rms', found 'token'")

    @property
    def flow_shape(self) -> FlowShape:
        state_dim = self.action_dim if self.state_input == "token" else 0
        return FlowShape(self.expert.width, self.action_dim, state_dim, self.conditioning)


@dataclass(frozen=True)
class Pi05Config(Pi0Config):
    """pi0.5: adaptive norms instead of mixed-in time, and the state as text."""

    prompt_length: Annotated[int, Constraint(gt=0, le=LONGEST_PROMPT)] = 200
    conditioning: Literal["concat_time", "ada_rms"] = "ada_rms"
    state_input: Literal["token", "text", "none"] = "text"
