"""At its published size the network has exactly the tensors of the published checkpoints.

The lists are written out here from what timm, transformers and openvla-oft name them, not from the modules.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from vla_policies.batch import NetworkShape
from vla_policies.openvla import OpenVlaConfig, OpenVlaNetwork

Shapes = dict[str, tuple[int, ...]]
D = 4096
LIBERO, ALOHA, BRIDGE = NetworkShape(2, 8, 7, 8), NetworkShape(3, 14, 14, 25), NetworkShape(1, 7, 7, 5)
OPENVLA = {"head": "autoregressive", "use_proprio": False}


def linear(name: str, rows: int, columns: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (rows, columns)} | ({f"{name}.bias": (rows,)} if bias else {})


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def mlp(name: str, width: int, inner: int) -> Shapes:
    return linear(f"{name}.fc1", inner, width) | linear(f"{name}.fc2", width, inner)


def block(name: str, width: int, inner: int, layer_scale: bool) -> Shapes:
    keys = norm(f"{name}.norm1", width) | norm(f"{name}.norm2", width) | mlp(f"{name}.mlp", width, inner)
    keys |= linear(f"{name}.attn.qkv", 3 * width, width) | linear(f"{name}.attn.proj", width, width)
    if layer_scale:
        keys |= {f"{name}.ls{half}.scale_factor": (width,) for half in (1, 2)}
    return keys


def tower(name: str, width: int, inner: int, blocks: int, dino: bool, film: bool) -> Shapes:
    keys: Shapes = {f"{name}.pos_embed": (1, 256, width), f"{name}.patch_embed.proj.weight": (width, 3, 14, 14)}
    keys |= {f"{name}.patch_embed.proj.bias": (width,)} | norm(f"{name}.norm", width)
    if dino:
        keys |= {f"{name}.cls_token": (1, 1, width), f"{name}.reg_token": (1, 4, width)}
    else:
        pool = f"{name}.attn_pool"
        keys |= {f"{pool}.latent": (1, 1, width)} | norm(f"{pool}.norm", width) | mlp(f"{pool}.mlp", width, inner)
        keys |= linear(f"{pool}.q", width, width) | linear(f"{pool}.kv", 2 * width, width)
        keys |= linear(f"{pool}.proj", width, width)
    for index in range(blocks):
        where = f"{name}.blocks.{index}"
        keys |= block(f"{where}.block" if film else where, width, inner, dino)
        if film:
            keys |= linear(f"{where}.scale", width, D) | linear(f"{where}.shift", width, D)
    return keys


def llama() -> Shapes:
    keys: Shapes = {"language_model.model.embed_tokens.weight": (32064, D), "language_model.model.norm.weight": (D,)}
    keys |= {"language_model.lm_head.weight": (32064, D)}
    for index in range(32):
        layer = f"language_model.model.layers.{index}"
        keys |= {f"{layer}.{name}_layernorm.weight": (D,) for name in ("input", "post_attention")}
        keys |= {f"{layer}.self_attn.{name}_proj.weight": (D, D) for name in "qkvo"}
        keys |= {f"{layer}.mlp.{name}_proj.weight": (11008, D) for name in ("gate", "up")}
        keys |= {f"{layer}.mlp.down_proj.weight": (D, 11008)}
    return keys


def openvla(film: bool = False) -> Shapes:
    vision = tower("vision_backbone.featurizer", 1024, 4096, 24, True, film)
    vision |= tower("vision_backbone.fused_featurizer", 1152, 4304, 27, False, film)
    projector = linear("projector.fc1", 8704, 2176) | linear("projector.fc2", D, 8704) | linear("projector.fc3", D, D)
    return vision | projector | llama()


def mlp_resnet(name: str, actions: int) -> Shapes:
    keys = norm(f"{name}.layer_norm1", actions * D) | linear(f"{name}.fc1", D, actions * D)
    for index in (0, 1):
        keys |= norm(f"{name}.mlp_resnet_blocks.{index}.ffn.0", D)
        keys |= linear(f"{name}.mlp_resnet_blocks.{index}.ffn.1", D, D)
    return keys | norm(f"{name}.layer_norm2", D) | linear(f"{name}.fc2", actions, D)


def token_projector(name: str, numbers: int) -> Shapes:
    return linear(f"{name}.fc1", D, numbers) | linear(f"{name}.fc2", D, D)


def cases() -> Iterator[tuple[str, dict, NetworkShape, Shapes]]:
    proprio = {shape: token_projector("proprio_projector", shape.state_dim) for shape in (LIBERO, ALOHA, BRIDGE)}
    yield "openvla-7b", OPENVLA, BRIDGE, openvla()
    yield "libero, L1", {}, LIBERO, openvla() | proprio[LIBERO] | mlp_resnet("action_head.model", 7)
    yield "aloha, L1, FiLM", {"film": True}, ALOHA, openvla(True) | proprio[ALOHA] | mlp_resnet("action_head.model", 14)
    noisy = token_projector("noisy_action_projector", 1)
    diffusion = noisy | mlp_resnet("action_head.noise_predictor.mlp_resnet", 7)
    yield "libero, diffusion", {"head": "diffusion"}, LIBERO, openvla() | proprio[LIBERO] | diffusion
    yield "bridge, discrete", {"head": "discrete"}, BRIDGE, openvla() | proprio[BRIDGE]


def full_size(config: dict, shape: NetworkShape) -> OpenVlaNetwork:
    with torch.device("meta"):
        return OpenVlaNetwork(OpenVlaConfig(**config), shape)


@pytest.mark.parametrize(("config", "shape", "expected"), [pytest.param(*case, id=name) for name, *case in cases()])
def test_names_and_shapes(config, shape, expected) -> None:
    found = {name: tuple(tensor.shape) for name, tensor in full_size(config, shape).state_dict().items()}
    assert found == expected


def test_it_has_as_many_parameters_as_openvla_7b_reports() -> None:
    network = full_size(OPENVLA, BRIDGE)
    assert sum(parameter.numel() for parameter in network.parameters()) == 7_541_237_184


def test_lora_of_all_its_layers_has_as_many_parameters_as_finetuning_reports() -> None:
    """Rank 32 on every linear layer, and on the patch embeddings, whose name ends as some of those do."""
    rank, count = 32, 0
    for module in full_size(OPENVLA, BRIDGE).modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
            count += rank * (len(module.weight) + module.weight[0].numel())
    assert count == 110_828_288
