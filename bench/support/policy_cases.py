"""Policies whose chunks are timed: the published sizes of every family, and the small presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vla.paths import checkout
from vla_core import config as configuration
from vla_core.embodiment import load_embodiment
from vla_policies.batch import NetworkShape
from vla_policies.crossformer.config import PUBLISHED_ENDS
from vla_policies.spec import ImageSize
from vla_policies.training.config import load_preset

Precision = Literal["float32", "bfloat16"]

GPU_PRECISION: Mapping[str, Precision] = {
    "act": "float32",
    "crossformer": "float32",
    "groot": "bfloat16",
    "openvla": "bfloat16",
    "pi0": "bfloat16",
    "pi05": "bfloat16",
}
"""What the reference of a family computes in on a GPU; on a processor all of them compute in float32."""

OFT_PROMPT_TOKENS = 32  # of an instruction of LIBERO; Llama's own tokenizer is not at hand, so the bench says how many
_SQUARE = ImageSize(224, 224)
_NARROW: Mapping[str, Any] = {  # the published pi0 in a quarter of its widths and of its depths
    "vlm": {"width": 512, "depth": 4, "mlp_dim": 4096, "heads": 8, "kv_heads": 1, "head_dim": 64},
    "expert": {"width": 256, "depth": 4, "mlp_dim": 1024, "heads": 8, "kv_heads": 1, "head_dim": 64},
    "vision": {"width": 288, "depth": 6, "mlp_dim": 1076, "heads": 4},
    "vocabulary": 516,
}
_INSTRUCTION = "pick up the cube"


@dataclass(frozen=True)
class PolicyCase:
    """A policy to time.

    Attributes:
        name: what it is called in tables.
        family: of ``vla_policies.families``.
        network: the family's hyper-parameters.
        shape: the sizes of its ends.
        images: one size per camera.
        prompt: the instruction.
        backbone_dominates: whether what is computed once per chunk takes most of its time: what real-time chunking costs is
            told of such a policy, because its guidance goes through the head alone.
    """

    name: str
    family: str
    network: Mapping[str, Any]
    shape: NetworkShape
    images: tuple[ImageSize, ...]
    prompt: str = field(default=_INSTRUCTION)
    backbone_dominates: bool = False


def full_cases() -> list[PolicyCase]:
    """The families at their published sizes, on the robots and with the cameras that they were published with."""
    return [_act(), *_crossformer(), *_groot(), *_oft(), *_flow_matching(), _five_steps("pi0, 3 views, 5 steps", {})]


def small_cases() -> list[PolicyCase]:
    """Every small preset of config/policies, on the simulated robot; and a pi0 that is narrower than the published one alone."""
    embodiment = load_embodiment(checkout() / "config" / "embodiments" / "fr3_sim.yaml")
    cases = []
    for path in sorted((checkout() / "config" / "policies").glob("*_small.yaml")):
        preset = load_preset(path)
        spec = preset.spec_for(embodiment)
        state, actions = len(spec.state_names(embodiment)), len(embodiment.action_names)
        shape = NetworkShape(len(spec.cameras), state, actions, preset.action_horizon)
        cases.append(PolicyCase(preset.name, preset.family, preset.network, shape, tuple(spec.cameras.values())))
    return [*cases, _five_steps("pi0, narrow, 3 views, 5 steps", _NARROW)]


def _act() -> PolicyCase:
    preset = load_preset(checkout() / "config" / "policies" / "act.yaml")
    shape = NetworkShape(cameras=4, state_dim=14, action_dim=14, action_horizon=preset.action_horizon)  # ALOHA
    return PolicyCase("ACT, 4 views of 640x480", "act", preset.network, shape, (ImageSize(640, 480),) * 4)


def _crossformer() -> list[PolicyCase]:
    """The published weights have all groups and heads; a robot uses some of them."""
    ends = configuration.to_mapping(PUBLISHED_ENDS)
    robots = {
        "bimanual": (("high", "left", "right"), "bimanual"),
        "single_arm": (("primary",), None),
    }
    cases = []
    for head, (cameras, state) in robots.items():
        readout = PUBLISHED_ENDS.readouts[head]
        state_dim = PUBLISHED_ENDS.vectors[state].size if state else 0
        shape = NetworkShape(len(cameras), state_dim, readout.action_dim, readout.horizon)
        network = {"ends": ends, "cameras": list(cameras), "state": state, "head": head}
        name = f"CrossFormer, {head.replace('_', ' ')}, {_views(len(cameras))}"
        cases.append(PolicyCase(name, "crossformer", network, shape, (_SQUARE,) * len(cameras)))
    return cases


def _groot() -> list[PolicyCase]:
    return [
        PolicyCase(f"GR00T N1.5, {_views(views)}", "groot", {}, NetworkShape(views, 8, 8, 16), (_SQUARE,) * views)
        for views in (1, 2)
    ]


def _oft() -> list[PolicyCase]:
    """LIBERO's arm: 8 steps of 7 dimensions."""
    instruction = "x" * (OFT_PROMPT_TOKENS - 2)  # a token per byte, one before and one behind
    return [
        PolicyCase(
            f"OpenVLA-OFT, {head}, {_views(views)}",
            "openvla",
            {"head": head, "prompt": "{task}"},
            NetworkShape(views, 8, 7, 8),
            (_SQUARE,) * views,
            instruction,
        )
        for head in ("l1", "discrete", "diffusion")
        for views in (1, 2)
    ]


def _flow_matching() -> list[PolicyCase]:
    return [
        PolicyCase(f"{name}, {_views(views)}", family, {}, NetworkShape(views, 8, 8, 50), (_SQUARE,) * views)
        for name, family in (("pi0", "pi0"), ("pi0.5", "pi05"))
        for views in (1, 2, 3)
    ]


def _five_steps(name: str, network: Mapping[str, Any]) -> PolicyCase:
    """A pi0 with three cameras, with as many steps as in the paper on real-time chunking (arXiv 2506.07339)."""
    shape, settings = NetworkShape(3, 8, 8, 50), {**network, "sampling_steps": 5}
    return PolicyCase(name, "pi0", settings, shape, (_SQUARE,) * 3, backbone_dominates=True)


def _views(count: int) -> str:
    return "1 view" if count == 1 else f"{count} views"
