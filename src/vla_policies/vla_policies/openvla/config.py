"""Hyper-parameters of OpenVLA and OpenVLA-OFT. The defaults are those of the published 7 B models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field as Constraint

Count = Annotated[int, Constraint(gt=0)]
TokenId = Annotated[int, Constraint(ge=0)]
Head = Literal["l1", "discrete", "diffusion", "autoregressive"]

PROMPT = "In: What action should the robot take to {task}?\nOut:"


@dataclass(frozen=True)
class TowerConfig:
    """A vision transformer with the parameter names of timm."""

    width: Count
    layers: Count
    heads: Count
    feedforward_dim: Count
    patch: Count = 14
    registers: Annotated[int, Constraint(ge=0)] = 0
    class_token: bool = False
    layer_scale: bool = False
    """DINOv2's factor on what each half of a layer adds"""
    attention_pool: bool = False
    """SigLIP's pooling: its weights are in the checkpoints, nothing uses them"""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width: expected a multiple of heads ({self.heads}), found {self.width}")


# timm's vit_large_patch14_reg4_dinov2.lvd142m and vit_so400m_patch14_siglip_224
DINOV2_LARGE = TowerConfig(1024, 24, 16, 4096, registers=4, class_token=True, layer_scale=True)
SIGLIP_SO400M = TowerConfig(1152, 27, 16, 4304, attention_pool=True)


@dataclass(frozen=True)
class LanguageConfig:
    """A Llama. Source of the defaults: Llama 2 7B as openvla/openvla-7b has it."""

    hidden_dim: Count = 4096
    layers: Count = 32
    heads: Count = 32
    feedforward_dim: Count = 11008
    vocabulary: Count = 32000
    """without the rows that pad it"""
    padded_vocabulary: Count = 32064
    norm_eps: Annotated[float, Constraint(gt=0)] = 1e-6
    """what transformers takes where config.json is silent, as openvla-7b's is; Llama 2's own says 1e-5"""
    rope_theta: Annotated[float, Constraint(gt=0)] = 10_000.0

    def __post_init__(self) -> None:
        if self.hidden_dim % (2 * self.heads):
            raise ValueError(
                f"hidden_dim: expected a multiple of twice the heads ({self.heads}), found {self.hidden_dim}"
            )
        if self.padded_vocabulary < self.vocabulary:
            raise ValueError(
                f"padded_vocabulary: expected at least the vocabulary's {self.vocabulary}, found {self.padded_vocabulary}"
            )


@dataclass(frozen=True)
class OpenVlaConfig:
    """Everything about the network that the sizes of its inputs and outputs do not say.

    Source of the defaults: openvla/openvla-7b and moojink/openvla-7b-oft-finetuned-libero-*.
    """

    head: Head = "l1"
    """``autoregressive``: OpenVLA's, number by number; the others: OFT's, all numbers of a chunk at once"""
    use_proprio: bool = True
    film: bool = False
    """the vision towers see what the prompt says (OFT+)"""
    vision: Literal["dinosiglip", "small_cnn"] = "dinosiglip"
    """``small_cnn``: a convolutional backbone and one token of key points per camera, to learn from scratch"""
    dino: TowerConfig = DINOV2_LARGE
    siglip: TowerConfig = SIGLIP_SO400M
    image_size: Count = 224
    """of the square images that the towers see [px]"""
    image_resize: Literal["lanczos3", "bicubic"] = "lanczos3"
    """how images of another size become that; OpenVLA without OFT: ``bicubic``"""
    centre_crop: bool = False
    """the towers see the middle nine tenths, as after training with random crops"""
    key_points: Count = 32
    """per camera, with ``vision: small_cnn``"""
    language: LanguageConfig = LanguageConfig()
    bins: Count = 256
    """of ``discrete`` and ``autoregressive``"""
    diffusion_train_steps: Count = 50
    diffusion_steps: Count = 50
    """of inference"""
    diffusion_loss: Literal["noise", "chunk"] = "noise"
    """what training weighs: the error of the noise, as for the published weights, or that of the chunk that it implies"""
    noise_scale: Annotated[float, Constraint(ge=0)] = 1.0
    """of the noise that every chunk of a diffusion is made of: 1, as in training, or less, down to 0, its mean, of which less is
    left in the chunk"""
    precision: Literal["float32", "bfloat16"] = "float32"
    """of weights and arithmetic"""
    prompt: str = PROMPT
    tokenizer_file: str = ""
    """path of Llama's tokenizer.json; without one, every byte of a prompt is a token"""
    end_of_prompt: TokenId = 29871
    """the token that closes a prompt; Llama's for a space"""

    def __post_init__(self) -> None:
        if self.film and self.vision != "dinosiglip":
            raise ValueError("film: expected the vision 'dinosiglip', which has the layers for it")
        if self.head == "autoregressive" and (self.use_proprio or self.film):
            raise ValueError("head: 'autoregressive' is OpenVLA's, without OFT; expected use_proprio and film false")
        if self.image_size % self.dino.patch or self.image_size % self.siglip.patch:
            raise ValueError(f"image_size: expected a multiple of the towers' patches, found {self.image_size}")
        if self.diffusion_steps > self.diffusion_train_steps:
            raise ValueError(
                f"diffusion_steps: expected at most diffusion_train_steps ({self.diffusion_train_steps}), "
                f"found {self.diffusion_steps}"
            )
        first_action = self.language.vocabulary - self.bins
        if first_action <= 258 or self.end_of_prompt >= self.language.padded_vocabulary:
            raise ValueError(
                f"vocabulary: expected room for 259 bytes and signs, {self.bins} actions and the token {self.end_of_prompt}, "
                f"found {self.language.vocabulary}"
            )

    @property
    def head_module(self) -> str:
        """Name of the module of ``heads``."""
        return {"l1": "l1_mlp_resnet", "diffusion": "diffusion"}.get(self.head, "discrete_bins")
