"""The action heads that there are, as their published weights have them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vla_policies.crossformer.config import PUBLISHED_ENDS
from vla_policies.families import FAMILIES
from vla_policies.groot import GrootConfig
from vla_policies.openvla import OpenVlaConfig
from vla_policies.pi0 import Pi0Config, Pi05Config


@dataclass(frozen=True)
class PublishedHead:
    """A head with one family's published sizes. In a preset, sizes are those of the robot and of the preset.

    Attributes:
        family: key of ``FAMILIES``.
        head: module of ``heads``, and which of its kind.
        chunk: actions by numbers of an action, with padding.
        inputs: what its features are made of.
        normalisation: scheme of the actions where the family is trained here.
        steps: passes of the head, or of the whole network, for a chunk.
        continues: how a chunk can go on from the one that is executed; empty if it cannot.
    """

    family: str
    head: str
    chunk: str
    inputs: str
    normalisation: str
    steps: int
    continues: str = ""


def published_heads() -> Iterator[PublishedHead]:
    """Every head of every family."""
    yield _of("act", "l1_regression (CVAE)", "100x14", "images, state, latent", 1)
    for name, readout in PUBLISHED_ENDS.readouts.items():
        chunk = f"{readout.horizon}x{readout.action_dim}"
        yield _of("crossformer", f"readout_l1 ({name})", chunk, "images, state, text or goal", 1)
    yield _of("openvla", "discrete_bins (autoregressive)", "1x7", "image, text", 7)
    for head, steps in (("l1_mlp_resnet", 1), ("discrete_bins", 1), ("diffusion", OpenVlaConfig().diffusion_steps)):
        yield _of("openvla", head, "8x7, 25x14", "images, text, state", steps)
    for family, pi0, state in (("pi0", Pi0Config(), "state"), ("pi05", Pi05Config(), "state as text")):
        chunk, inputs = f"50x{pi0.action_dim}", f"images, text, {state}"
        yield _of(family, "flow_matching", chunk, inputs, pi0.sampling_steps, pi0)
    yield from _groot(GrootConfig())


def _groot(config: GrootConfig) -> Iterator[PublishedHead]:
    head = config.head
    arm_and_claw = f"{head.arm_dim}+{head.claw_dim}"
    for decoders, dimensions in (("one decoder", str(head.action_dim)), ("arm and claw", arm_and_claw)):
        chunk, inputs = f"{head.horizon}x{dimensions}", "images, text, state, robot"
        yield _of("groot", f"flow_matching_dit ({decoders})", chunk, inputs, head.steps, config)


def _of(family: str, head: str, chunk: str, inputs: str, steps: int, config: object = None) -> PublishedHead:
    row = FAMILIES[family]
    return PublishedHead(
        family, head, chunk, inputs, row.action_scheme, steps, continues=row.real_time_chunking(config) or ""
    )
