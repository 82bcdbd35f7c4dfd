"""Hyper-parameters of ACT. The defaults are those of the published ALOHA experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field as Constraint

from vla_policies.act.transformer import Activation, LayerShape
from vla_policies.heads.l1_regression import Denominator

Count = Annotated[int, Constraint(gt=0)]


@dataclass(frozen=True)
class ActConfig:
    """Everything about the network that the sizes of its inputs and outputs do not say.

    Source of the defaults: arXiv 2304.13705, table III, and the README of tonyzhaozh/act.
    """

    backbone: Literal["resnet18", "small_cnn"] = "resnet18"
    backbone_per_camera: bool = False
    """False: all cameras share one"""
    image_tokens: Literal["feature_map", "key_points"] = "feature_map"
    key_points: Count = 32
    """per camera, with ``image_tokens: key_points``"""
    hidden_dim: Count = 512
    feedforward_dim: Count = 3200
    heads: Count = 8
    encoder_layers: Count = 4
    style_encoder_layers: Count = 4
    decoder_layers: Count = 1
    dropout: Annotated[float, Constraint(ge=0, lt=1)] = 0.1
    activation: Activation = "relu"
    pre_norm: bool = False
    use_cvae: bool = True
    latent_dim: Count = 32
    kl_weight: Annotated[float, Constraint(ge=0)] = 10.0
    l1_denominator: Denominator = "valid"
    pad_head: bool = False
    """the original's head that says whether a step is padding: its checkpoints hold it, no loss trains it"""

    def __post_init__(self) -> None:
        if self.hidden_dim % self.heads or self.hidden_dim % 4:
            raise ValueError(
                f"hidden_dim: expected a multiple of 4 and of heads ({self.heads}), found {self.hidden_dim}"
            )

    @property
    def layer_shape(self) -> LayerShape:
        return LayerShape(
            dim=self.hidden_dim,
            heads=self.heads,
            feedforward_dim=self.feedforward_dim,
            dropout=self.dropout,
            activation=self.activation,
            pre_norm=self.pre_norm,
        )
