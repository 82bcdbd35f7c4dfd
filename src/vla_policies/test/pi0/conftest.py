"""The golden pi0 and pi0.5: a description, arrays, and the network with their weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from recipe import Golden, read_golden
from torch import Tensor

from vla_policies.pi0 import Pi0Config, Pi0Model, Pi05Config
from vla_policies.pi0.config import GemmaShape, SiglipShape

CONFIGS = {"pi0": Pi0Config, "pi05": Pi05Config}


@dataclass(frozen=True)
class Variant:
    """A golden variant. ``images`` are those of the network, for each camera (B, 3, H, W) from -1 to 1."""

    name: str
    golden: Golden
    model: Pi0Model
    images: tuple[Tensor, ...]

    def input(self, name: str) -> Tensor:
        return self.golden.arrays[f"in.{name}"]

    def mid(self, name: str) -> Tensor:
        return self.golden.arrays[f"mid.{name}"]

    def out(self, name: str) -> Tensor:
        return self.golden.arrays[f"out.{name}"]

    @property
    def observation(self) -> tuple[tuple[Tensor, ...], Tensor, Tensor, Tensor]:
        return self.images, self.input("image_masks"), self.input("tokens"), self.input("token_mask")

    @property
    def state(self) -> Tensor | None:
        return self.input("state") if self.name == "pi0" else None


def golden_config(name: str, sizes: dict[str, Any], **changes: Any) -> Pi0Config:
    heads = {"heads": sizes["heads"], "kv_heads": sizes["kv_heads"]}
    vision = sizes["vision"]
    return CONFIGS[name](
        vlm=GemmaShape(**sizes["vlm"], **heads),
        expert=GemmaShape(**sizes["expert"], **heads),
        vision=SiglipShape(
            vision["hidden"], vision["layers"], vision["mlp"], vision["heads"], sizes["patch"], vision["image"]
        ),
        vocabulary=sizes["vocab"],
        prompt_length=sizes["prompt_len"],
        action_dim=sizes["action_dim"],
        **changes,
    )


@pytest.fixture(scope="session", params=["pi0", "pi05"])
def variant(request: pytest.FixtureRequest) -> Variant:
    golden = read_golden(request.param)
    model = Pi0Model(golden_config(request.param, golden.description["config"])).eval()
    model.load_state_dict(golden.weights, strict=True)
    images = golden.arrays["in.images"].float() / 255.0 * 2.0 - 1.0
    return Variant(request.param, golden, model, tuple(images))
