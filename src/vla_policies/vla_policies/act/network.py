"""ACT, the Action Chunking Transformer: images and joint positions to a chunk of joint position targets.

Source: Zhao et al., "Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware" (arXiv 2304.13705), with the code
of tonyzhaozh/act (``detr/models/detr_vae.py``)::

    images ─ backbone ─ image tokens ─┐
    state ─────────── state token ────┤ encoder ── memory
    latent ────────── latent token ───┘               │
       ↑ training: style encoder (state, actions)  decoder ← K queries ── head ── actions (K, A)
       ↑ inference: zeros
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from vla_policies.act.config import ActConfig
from vla_policies.act.image_tokens import FeatureMapTokens, KeyPointTokens
from vla_policies.act.style_encoder import StyleEncoder, kl_divergence
from vla_policies.act.transformer import Decoder, Encoder
from vla_policies.backbones import BACKBONES
from vla_policies.batch import NetworkInputs, NetworkShape, NetworkTargets
from vla_policies.heads.l1_regression import L1RegressionHead


class ActNetwork(nn.Module):
    """The network of ACT on normalised inputs and outputs. B batch, S state_dim, A action_dim, K action_horizon, d hidden_dim."""

    def __init__(self, config: ActConfig, shape: NetworkShape) -> None:
        super().__init__()
        self.config = config
        dim = config.hidden_dim
        backbone = BACKBONES[config.backbone]
        encoders = range(shape.cameras if config.backbone_per_camera else 1)
        self.backbones = nn.ModuleList(backbone() for _ in encoders)
        self.image_tokens = nn.ModuleList(_image_tokens(config, backbone.channels) for _ in encoders)
        self.state_projection = nn.Linear(shape.state_dim, dim)
        self.latent_projection = nn.Linear(config.latent_dim, dim)
        self.token_position = nn.Parameter(torch.empty(2, dim).normal_())  # of the latent's and the state's token
        self.encoder = Encoder(config.layer_shape, config.encoder_layers)
        self.query_position = nn.Parameter(torch.empty(shape.action_horizon, dim).normal_())
        self.decoder = Decoder(config.layer_shape, config.decoder_layers)
        self.head = L1RegressionHead(dim, shape.action_dim, config.l1_denominator)
        self.pad_head = nn.Linear(dim, 1) if config.pad_head else None
        self.style_encoder = _style_encoder(config, shape) if config.use_cvae else None
        for stack in (self.encoder, self.decoder):
            _initialise(stack)

    def predict(self, inputs: NetworkInputs) -> Tensor:
        """The action chunk (B, K, A) with the latent at zero, the mean of its prior."""
        latent = inputs.state.new_zeros((len(inputs.state), self.config.latent_dim))
        return self.head(self.readouts(inputs, latent))

    def losses(
        self,
        inputs: NetworkInputs,
        targets: NetworkTargets,
        sample_latent: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> Mapping[str, Tensor]:
        """``l1``, ``kl`` and their weighted sum ``loss``. The latent comes from the style encoder, if there is one.

        Args:
            inputs: observations.
            targets: demonstrated actions.
            sample_latent: makes the latent (B, latent_dim) from mu and logvar; by default a draw from N(mu, exp(logvar)).
        """
        if self.style_encoder is None:
            l1 = self.head.loss(self.predict(inputs), targets.actions, targets.is_pad)
            return {"loss": l1, "l1": l1}
        mu, logvar = self.style_encoder(inputs.state, targets.actions, targets.is_pad)
        latent = (sample_latent or _draw)(mu, logvar)
        actions = self.head(self.readouts(inputs, latent))
        l1 = self.head.loss(actions, targets.actions, targets.is_pad)
        kl = kl_divergence(mu, logvar)
        return {"loss": l1 + self.config.kl_weight * kl, "l1": l1, "kl": kl}

    def readouts(self, inputs: NetworkInputs, latent: Tensor) -> Tensor:
        """What the head turns into actions (B, K, d), for a latent (B, latent_dim)."""
        memory, positions = self.encode(inputs, latent)
        queries = memory.new_zeros((len(memory), *self.query_position.shape))
        return self.decoder(queries, self.query_position, memory, positions)

    def encode(self, inputs: NetworkInputs, latent: Tensor) -> tuple[Tensor, Tensor]:
        """The memory (B, n, d) of the tokens latent, state, images camera by camera, and their positions (n, d)."""
        tokens = [self.latent_projection(latent)[:, None], self.state_projection(inputs.state)[:, None]]
        positions: list[Tensor] = [self.token_position]
        for camera, image in enumerate(inputs.images):
            which = camera if self.config.backbone_per_camera else 0
            image_tokens, image_positions = self.image_tokens[which](self.backbones[which](image))
            tokens.append(image_tokens)
            positions.append(image_positions)
        position = torch.cat(positions)
        return self.encoder(torch.cat(tokens, dim=1), position), position


def _image_tokens(config: ActConfig, channels: int) -> nn.Module:
    if config.image_tokens == "key_points":
        return KeyPointTokens(channels, config.hidden_dim, config.key_points)
    return FeatureMapTokens(channels, config.hidden_dim)


def _style_encoder(config: ActConfig, shape: NetworkShape) -> StyleEncoder:
    return StyleEncoder(
        config.layer_shape,
        config.style_encoder_layers,
        config.latent_dim,
        shape.state_dim,
        shape.action_dim,
        shape.action_horizon,
    )


def _draw(mu: Tensor, logvar: Tensor) -> Tensor:
    return mu + (0.5 * logvar).exp() * torch.randn_like(mu)


def _initialise(stack: nn.Module) -> None:
    """Xavier-uniform matrices, as DETR initialises its transformer; norms and biases keep torch's values."""
    for parameter in stack.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
