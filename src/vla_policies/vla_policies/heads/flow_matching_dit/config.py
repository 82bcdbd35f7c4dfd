"""Hyper-parameters of GR00T's action head. The defaults are those of nvidia/GR00T-N1.5-3B (``action_head_cfg``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field as Constraint

Count = Annotated[int, Constraint(gt=0)]
Positive = Annotated[float, Constraint(gt=0)]
Decoder = Literal["single", "arm_claw"]
LossWeighting = Literal["fixed", "uncertainty"]


@dataclass(frozen=True)
class FlowMatchingDitConfig:
    """Sizes and variants of the head."""

    backbone_dim: Count = 2048
    """width of the vision-language features"""
    hidden_dim: Count = 1024
    """of the embodiments' encoders and decoders, and of what the transformer hands to the latter"""
    heads: Count = 32
    head_dim: Count = 48
    """a token of the transformer has heads x head_dim numbers"""
    layers: Count = 16
    """those with an even index attend to the features, the others to the tokens"""
    vl_heads: Count = 32
    vl_layers: Count = 4
    """of the self-attention over the features"""
    vl_norm: bool = True
    """False: neither a norm nor self-attention over the features (``use_vlln``)"""
    future_tokens: Annotated[int, Constraint(ge=0)] = 32
    positions: Annotated[int, Constraint(ge=0)] = 1024
    """rows of the table of positions that are added to the actions' tokens; 0: nothing is added"""
    embodiments: Count = 32
    state_dim: Count = 64
    action_dim: Count = 32
    """of padded states and actions"""
    horizon: Count = 16
    steps: Count = 4
    """of Euler's method, from noise to actions"""
    time_buckets: Count = 1000
    time_alpha: Positive = 1.5
    """training times are (time_span - b) / time_span with b from Beta(time_alpha, 1)"""
    time_span: Positive = 0.999
    dropout: Annotated[float, Constraint(ge=0, lt=1)] = 0.2
    decoder: Decoder = "single"
    """``arm_claw``: two decoders, for the first ``arm_dim`` and the following ``claw_dim`` dimensions; the others are padding"""
    arm_dim: Count = 14
    claw_dim: Count = 2
    pad_noise: Literal["zero", "keep"] = "zero"
    """with ``arm_claw``: what stands in the padded dimensions while sampling, 0 or the noise of the start; the checkpoint
    does not say which its code did (it changed), and training saw noise there"""
    loss_weighting: LossWeighting = "fixed"
    """with ``arm_claw``: ``uncertainty`` learns the weights of the two losses (``task_log_sigma``)"""
    arm_weight: Positive = 1.0
    claw_weight: Positive = 1.0

    def __post_init__(self) -> None:
        if self.backbone_dim % self.vl_heads:
            raise ValueError(
                f"backbone_dim: expected a multiple of vl_heads ({self.vl_heads}), found {self.backbone_dim}"
            )
        if self.token_dim % 2:
            raise ValueError(f"heads x head_dim: expected an even number, found {self.token_dim}")
        if self.positions and self.positions < self.horizon:
            raise ValueError(f"positions: expected at least horizon ({self.horizon}) or 0, found {self.positions}")
        if self.decoded_dim > self.action_dim:
            raise ValueError(
                f"action_dim: expected at least arm_dim + claw_dim ({self.decoded_dim}), found {self.action_dim}"
            )

    @property
    def token_dim(self) -> int:
        return self.heads * self.head_dim

    @property
    def decoded_dim(self) -> int:
        """How many of the dimensions of an action the decoders give."""
        return self.action_dim if self.decoder == "single" else self.arm_dim + self.claw_dim
