"""GR00T's action head: noise becomes actions along velocities that a diffusion transformer gives.

Time t is 0 at the noise and 1 at the actions, ``x_t = (1 - t) * noise + t * actions``, and the velocity is that of x as t grows,
``actions - noise`` (pi0 counts the other way round). The network sees the time in buckets, in training and in inference. ::

    features ── norm, self-attention ────────────────────┐
    state ───── encoder of the embodiment ── 1 token ──┐ │
    learned ────────────────────── 32 future tokens ───┤ transformer ── last K ── decoder of the embodiment ── velocities
    x_t, t ──── encoder of the embodiment ── K tokens ─┘

Source: NVIDIA, "GR00T N1" (arXiv 2503.14734), with the numbers of N1.5.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from vla_policies.heads.flow_matching_dit.config import FlowMatchingDitConfig
from vla_policies.heads.flow_matching_dit.embodiment_layers import ActionEncoder, EmbodimentMlp
from vla_policies.heads.flow_matching_dit.transformer import DiffusionTransformer, Memory, SelfAttentionTransformer

Velocity = Callable[[Tensor, Tensor], Tensor]


class FlowMatchingDitHead(nn.Module):
    """Features, state and embodiment to actions. B batch, m features, S state_dim, A action_dim, D decoded_dim, K horizon."""

    def __init__(self, config: FlowMatchingDitConfig) -> None:
        super().__init__()
        self.config = config
        count, hidden, dim = config.embodiments, config.hidden_dim, config.token_dim
        self.vlln = nn.LayerNorm(config.backbone_dim) if config.vl_norm else nn.Identity()
        self.vl_self_attention = SelfAttentionTransformer(config) if config.vl_norm else nn.Identity()
        self.state_encoder = EmbodimentMlp(count, config.state_dim, hidden, dim)
        self.action_encoder = ActionEncoder(count, config.action_dim, dim)
        self.future_tokens = _table(config.future_tokens, dim)
        if config.positions:
            self.position_embedding = _table(config.positions, dim)
        self.model = DiffusionTransformer(config)
        if config.decoder == "single":
            self.action_decoder = EmbodimentMlp(count, hidden, hidden, config.action_dim)
            return
        self.action_arm_decoder = EmbodimentMlp(count, hidden, hidden, config.arm_dim)
        self.action_claw_decoder = EmbodimentMlp(count, hidden, hidden, config.claw_dim)
        if config.loss_weighting == "uncertainty":
            self.task_log_sigma = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in ("arm", "claw")})

    def process_features(self, features: Tensor) -> Tensor:
        """What the transformer attends to (B, m, backbone_dim), from a backbone's features of this shape. Once per chunk."""
        return self.vl_self_attention(self.vlln(features))

    def encode_state(self, state: Tensor, embodiment: Tensor) -> Tensor:
        """The state's token (B, 1, d), from padded states (B, S) of embodiments (B,) int64. Once per chunk."""
        return self.state_encoder(state[:, None], embodiment)

    def velocity_field(self, features: Tensor, state: Tensor, embodiment: Tensor) -> Velocity:
        """Velocities (B, K, D) of x (B, K, A) at times (B,) from 0 to 1, given an observation.

        Args:
            features: of the backbone (B, m, backbone_dim).
            state: padded (B, S).
            embodiment: (B,) int64.
        """
        memories = self.model.remember(self.process_features(features))
        state_token = self.encode_state(state, embodiment)

        def velocity(x: Tensor, time: Tensor) -> Tensor:
            bucket = self.buckets(time)
            return self.decode(self.readouts(x, bucket, state_token, memories, embodiment), embodiment)

        return velocity

    def readouts(
        self, x: Tensor, bucket: Tensor, state_token: Tensor, memories: list[Memory], embodiment: Tensor
    ) -> Tensor:
        """What the decoders get (B, K, hidden_dim), for x (B, K, A), the bucket of its time (B,) and the observation."""
        actions = self.encode_actions(x, bucket, embodiment)
        future = self.future_tokens.weight.expand(len(x), -1, -1)
        tokens = torch.cat([state_token, future, actions], dim=1)
        return self.model(tokens, memories, bucket)[:, -x.shape[1] :]

    def encode_actions(self, x: Tensor, bucket: Tensor, embodiment: Tensor) -> Tensor:
        """The tokens (B, K, d) of noisy actions (B, K, A), with their positions in the chunk."""
        tokens = self.action_encoder(x, bucket, embodiment)
        return tokens + self.position_embedding.weight[: x.shape[1]] if self.config.positions else tokens

    def decode(self, readouts: Tensor, embodiment: Tensor) -> Tensor:
        """Velocities (B, K, D)."""
        if self.config.decoder == "single":
            return self.action_decoder(readouts, embodiment)
        arm, claw = self.action_arm_decoder, self.action_claw_decoder
        return torch.cat([arm(readouts, embodiment), claw(readouts, embodiment)], dim=-1)

    def buckets(self, time: Tensor) -> Tensor:
        """Times (B,) in buckets (B,) int64. A training time may be a little below 0, which is bucket 0 too."""
        return (time * self.config.time_buckets).long()

    def sample(self, velocity: Velocity, noise: Tensor, steps: int | None = None) -> Tensor:
        """Carries noise (B, K, A) to actions (B, K, D) along velocities, see :meth:`velocity_field`; ``steps`` as configured."""
        return self.path(velocity, noise, steps)[-1][..., : self.config.decoded_dim]

    def path(self, velocity: Velocity, noise: Tensor, steps: int | None = None) -> list[Tensor]:
        """The way from noise to actions: x (B, K, A) at the start and after each of the N steps of Euler's method."""
        steps = steps or self.config.steps
        decoded = self.config.decoded_dim
        x, padding = noise, noise[..., decoded:]
        if self.config.pad_noise == "zero" and padding.shape[-1]:
            padding = torch.zeros_like(padding)
            x = torch.cat([noise[..., :decoded], padding], dim=-1)
        path = [x]
        for step in range(steps):
            time = torch.full((len(x),), step / steps, dtype=torch.float64, device=x.device)
            x = torch.cat([x[..., :decoded] + velocity(x, time) / steps, padding], dim=-1)
            path.append(x)
        return path

    def losses(
        self, velocity: Velocity, actions: Tensor, mask: Tensor, noise: Tensor, time: Tensor
    ) -> Mapping[str, Tensor]:
        """Squared errors of the velocities between noise and actions, averaged over what the mask has; ``loss`` is their sum.

        Args:
            velocity: see :meth:`velocity_field`.
            actions: padded (B, K, A).
            mask: False where they are padding (B, K, A).
            noise: (B, K, A).
            time: (B,), see :func:`sample_times`.
        """
        share = time.to(actions)[:, None, None]
        x = (1.0 - share) * noise + share * actions
        decoded = self.config.decoded_dim
        errors = (velocity(x, time) - (actions - noise)[..., :decoded]).square()
        mask = mask[..., :decoded]
        if self.config.decoder == "single":
            return {"loss": _masked_mean(errors, mask)}
        arm, claw = (
            _masked_mean(errors[..., part], mask[..., part])
            for part in (slice(self.config.arm_dim), slice(self.config.arm_dim, decoded))
        )
        return {"loss": self._weighted(arm, claw), "arm": arm, "claw": claw}

    def _weighted(self, arm: Tensor, claw: Tensor) -> Tensor:
        if self.config.loss_weighting == "fixed":
            return self.config.arm_weight * arm + self.config.claw_weight * claw
        sigma = self.task_log_sigma
        parts = [(-2.0 * sigma[name]).exp() * loss + sigma[name] for name, loss in (("arm", arm), ("claw", claw))]
        return parts[0] + parts[1]


def sample_times(config: FlowMatchingDitConfig, uniform: Tensor) -> Tensor:
    """Training times (B,) from numbers (B,) drawn from 0 to 1: closer to the noise, where the way is not yet clear."""
    # the distribution function of Beta(a, 1) is b^a
    return (config.time_span - uniform.pow(1.0 / config.time_alpha)) / config.time_span


def _table(rows: int, dim: int) -> nn.Embedding:
    table = nn.Embedding(rows, dim)
    nn.init.normal_(table.weight, std=0.02)
    return table


def _masked_mean(errors: Tensor, mask: Tensor) -> Tensor:
    return (errors * mask).sum() / mask.sum().clamp_min(1)
