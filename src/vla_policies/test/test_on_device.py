"""Between the inputs on a device and the chunk nobody waits for the device, and sizes depend on sizes alone.

A network on torch's device ``meta`` has shapes and no values: whatever reads one back (``item``, ``tolist``, a condition), or
makes a size of one (``nonzero``, ``repeat_interleave`` by a tensor), fails there.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from continuing_policies import continuing_checkpoint
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from vla_policies.batch import ContinuingNetwork, NetworkInputs, NetworkShape
from vla_policies.checkpoint import Checkpoint
from vla_policies.families import FAMILIES, build_network
from vla_policies.groot import prompts as groot_prompts
from vla_policies.heads.real_time_chunking import Guidance
from vla_policies.training.cli import PRESETS
from vla_policies.training.config import load_preset

META = torch.device("meta")
SMALL = sorted(path.stem for path in PRESETS.glob("*.yaml"))
_TOWER = {"width": 32, "depth": 2, "mlp_dim": 48, "heads": 2, "kv_heads": 1, "head_dim": 8}
_VISION = {"width": 24, "depth": 2, "mlp_dim": 32, "heads": 2, "patch": 8, "image": 32}
_PI0 = {"vlm": _TOWER, "expert": _TOWER, "vision": _VISION, "action_dim": 12}
_LANGUAGE = {"width": 32, "layers": 2, "heads": 2, "kv_heads": 1, "head_dim": 8, "mlp_dim": 48}
_TEXT = {
    "hidden_dim": 32,
    "layers": 2,
    "heads": 4,
    "feedforward_dim": 40,
    "vocabulary": 32000,
    "padded_vocabulary": 32064,
}
_OFT = {
    "dino": {"width": 32, "layers": 2, "heads": 2, "feedforward_dim": 32, "registers": 4, "class_token": True},
    "siglip": {"width": 32, "layers": 2, "heads": 2, "feedforward_dim": 32},
    "language": _TEXT,
    "image_size": 28,
}
_EAGLE = {
    "backbone": "eagle",
    "tokenizer": "made up",
    "eagle": {"vision": _VISION, "language": _LANGUAGE},
    "head": {
        "backbone_dim": 32,
        "heads": 2,
        "head_dim": 8,
        "layers": 2,
        "vl_heads": 2,
        "vl_layers": 1,
        "hidden_dim": 16,
    },
}
PUBLISHED = {
    "pi0": ("pi0", {**_PI0, "trained_prefix": 4}),
    "pi05": ("pi05", _PI0),
    "groot": ("groot", _EAGLE),
    "oft_l1": ("openvla", {**_OFT, "head": "l1", "film": True}),
    "oft_discrete": ("openvla", {**_OFT, "head": "discrete"}),
    "oft_diffusion": ("openvla", {**_OFT, "head": "diffusion"}),
    "openvla": ("openvla", {**_OFT, "head": "autoregressive", "use_proprio": False, "centre_crop": True}),
    "crossformer": (
        "crossformer",
        {"language": "table", "instructions": ["", "pick up the cube"], "image_size": [96, 128]},
    ),
}
"""What the presets have not: the towers of the published networks, with fewer and narrower layers"""
FROM_THE_HOST = {
    "crossformer": "the instruction is a vector, hashed or from a table that was read",
    "openvla": "mean and standard deviation of ImageNet's pixels, six numbers",
}
"""Families that send numbers beside the inputs' own, and what they are; tokens of prompts are whole numbers"""


class FloatsFromHost(TorchDispatchMode):
    """Counts tensors of floats that are sent from the processor to the device."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default) and result.is_meta:
            source = args[-1] if func is torch.ops.aten.copy_.default else args[0]
            if not source.is_meta and source.is_floating_point():
                self.sent.append(tuple(source.shape))
        return result


def network_of(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, nn.Module, int]:
    """Family, network and horizon of a preset, or with the published towers."""
    if name in SMALL:
        preset = load_preset(PRESETS / f"{name}.yaml")
        family, settings, horizon = preset.family, preset.network, preset.action_horizon
    else:
        (family, settings), horizon = PUBLISHED[name.removeprefix("published ")], 8
        monkeypatch.setattr("vla_policies.groot.policy_network.read_tokenizer", lambda path: patches_and_bytes)
    with META:
        network = build_network(family, settings, NetworkShape(2, 8, 8, horizon), name)
    return family, network.to(META).eval(), horizon


def patches_and_bytes(text: str) -> list[int]:
    """Tokens of Eagle's text: the places of patches, and a byte for all else."""
    return [151669] * text.count(groot_prompts._PLACE) + list(text.replace(groot_prompts._PLACE, "").encode())


def inputs_on_device() -> NetworkInputs:
    images = tuple(torch.zeros(1, 3, 96, 128, device=META) for _ in range(2))
    return NetworkInputs(images, torch.zeros(1, 8, device=META), ("pick up the cube",), torch.zeros(1, 8))


@pytest.mark.parametrize("name", [*SMALL, *(f"published {name}" for name in PUBLISHED)])
@torch.no_grad()
def test_predict_reads_nothing_back(name, monkeypatch) -> None:
    family, network, horizon = network_of(name, monkeypatch)
    with FloatsFromHost() as host:
        assert network.predict(inputs_on_device()).shape == (1, horizon, 8)
    assert not host.sent or family in FROM_THE_HOST, host.sent
    assert isinstance(network, ContinuingNetwork) == FAMILIES[family].continues
    if isinstance(network, ContinuingNetwork):
        previous = torch.zeros(1, horizon, 8, device=META)
        assert network.predict_continuing(inputs_on_device(), previous, Guidance(3, 4)).shape == (1, horizon, 8)


@pytest.mark.parametrize("name", SMALL)
def test_nothing_is_left_where_the_network_was(name) -> None:
    """Every tensor that a module holds, also in what it holds that is no module, goes along."""
    preset = load_preset(PRESETS / f"{name}.yaml")
    network = build_network(preset.family, preset.network, NetworkShape(2, 8, 8, preset.action_horizon), name)
    assert [where for where, held in held_tensors(network) if held.is_meta] == []
    assert [where for where, held in held_tensors(network.to(META)) if not held.is_meta] == []


def held_tensors(network: nn.Module) -> list[tuple[str, Tensor]]:
    found = []
    for name, module in network.named_modules():
        for key, value in vars(module).items():
            if key != "_modules":
                found += [(f"{name}.{where}", tensor) for where, tensor in tensors_in(value, key, depth=3)]
    return found


def tensors_in(value: object, where: str, depth: int) -> list[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        return [(where, value)]
    if depth == 0 or isinstance(value, nn.Module | str | type):
        return []
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple | set):
        items = [(str(key), item) for key, item in enumerate(value)]
    else:
        items = list(getattr(value, "__dict__", {}).items())
    return [pair for key, item in items for pair in tensors_in(item, f"{where}.{key}", depth - 1)]


@pytest.mark.parametrize("name", ["oft_diffusion_small", "oft_discrete_small", "pi05_small", "groot_small"])
def test_constants_are_in_no_checkpoint_and_are_never_blurred(name) -> None:
    preset = load_preset(PRESETS / f"{name}.yaml")
    network = build_network(preset.family, preset.network, NetworkShape(2, 8, 8, preset.action_horizon), name)
    before = {key: buffer.clone() for key, buffer in network.named_buffers()}
    constants = set(before) - set(network.state_dict())
    assert constants
    network.to(torch.bfloat16)
    after = dict(network.named_buffers())
    for key in constants:
        assert torch.equal(before[key], after[key]), key


@pytest.mark.parametrize("family", ["pi05"])
def test_a_state_on_the_host_is_the_one_that_is_written(family, embodiment, observation) -> None:
    checkpoint: Checkpoint = continuing_checkpoint(family, embodiment)
    images = {role: image[None] for role, image in observation.images.items()}
    inputs = checkpoint.pipeline().inputs(images, {"qpos": observation.proprioception["qpos"][None]}, META, ("reach",))
    assert inputs.state.is_meta
    assert inputs.state_on_host is not None
    network = checkpoint.network()
    told = network.prompt_tokens(inputs)[0]
    on_host = NetworkInputs((), inputs.state_on_host, ("reach",))
    assert torch.equal(told, network.prompt_tokens(on_host)[0])
