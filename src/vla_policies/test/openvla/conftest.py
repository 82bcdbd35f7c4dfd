"""A folder as openvla-oft leaves one, with a network small enough for a test."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from vla_core.embodiment import Embodiment
from vla_policies.batch import NetworkShape
from vla_policies.openvla import OpenVlaConfig, OpenVlaNetwork
from vla_policies.openvla.config import LanguageConfig, TowerConfig

CAMERAS = ("scene", "wrist")
HORIZON, DIMENSIONS = 3, 8
TOWERS = {
    "dino": TowerConfig(32, 3, 16, 48, registers=4, class_token=True, layer_scale=True),
    "siglip": TowerConfig(48, 2, 16, 64, attention_pool=True),
}
LANGUAGE = LanguageConfig(32, 2, 4, 40, vocabulary=29900, padded_vocabulary=29964)
SIDE_FILES = ("action_head", "proprio_projector", "noisy_action_projector")


def small_config(**changes: object) -> OpenVlaConfig:
    return OpenVlaConfig(**{"language": LANGUAGE, "image_size": 28, **TOWERS, **changes})


def make_small_network(actions: int = DIMENSIONS, **changes: object) -> OpenVlaNetwork:
    torch.manual_seed(0)
    network = OpenVlaNetwork(small_config(**changes), NetworkShape(len(CAMERAS), DIMENSIONS, actions, HORIZON))
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return network.eval()


CONFIG_JSON = {
    "model_type": "openvla",
    "arch_specifier": "no-align+fused-gelu-mlp",
    "timm_model_ids": ["vit_large_patch14_reg4_dinov2.lvd142m", "vit_so400m_patch14_siglip_224"],
    "image_sizes": [28, 28],
    "n_action_bins": 256,
    "pad_to_multiple_of": 64,
    "text_config": {
        "model_type": "llama",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 40,
        "vocab_size": 29964,
        "pad_token_id": 29901,
    },
}
STATISTICS = {
    "action": {
        "min": [-1.0] * 8,
        "max": [1.5] * 8,
        "q01": [-0.5 - 0.1 * index for index in range(8)],
        "q99": [0.6 + 0.1 * index for index in range(8)],
        "mask": [True] * 7 + [False],
        "mean": [0.0] * 8,
        "std": [1.0] * 8,
    },
    "proprio": {"min": [-3.0] * 8, "max": [3.0] * 8, "q01": [-2.0] * 8, "q99": [2.0] * 8},
    "num_transitions": 100,
    "num_trajectories": 2,
}


def write_folder(folder: Path, network: OpenVlaNetwork, prefix: str = "module.") -> Path:
    """As published: shards with an index, side files whose names begin as DistributedDataParallel's."""
    folder.mkdir()
    weights = network.state_dict()
    whole = {name: t.contiguous() for name, t in weights.items() if name.partition(".")[0] not in SIDE_FILES}
    if network.config.film:
        write_side_file(folder, "vision_backbone", weights, prefix, keep_name=True)
    names = sorted(whole)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, held in halves.items():
        save_file({name: whole[name] for name in held}, folder / file)
    index = {name: file for file, held in halves.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    for part in SIDE_FILES:
        write_side_file(folder, part, weights, prefix)
    (folder / "config.json").write_text(json.dumps(CONFIG_JSON))
    (folder / "dataset_statistics.json").write_text(json.dumps({"libero_spatial_no_noops": STATISTICS}))
    return folder


def write_side_file(folder: Path, part: str, weights: dict[str, Tensor], prefix: str, keep_name: bool = False) -> None:
    cut = "" if keep_name else f"{part}."
    held = {prefix + name.removeprefix(cut): t for name, t in weights.items() if name.startswith(f"{part}.")}
    if held:
        torch.save(held, folder / f"{part}--150000_checkpoint.pt")


@pytest.fixture
def robot(embodiment: Embodiment) -> Embodiment:
    """fr3_sim, of which the small network has the eight numbers."""
    return dataclasses.replace(embodiment, name="trained_with")


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., tuple[Path, OpenVlaNetwork]]:
    def make(**changes: object) -> tuple[Path, OpenVlaNetwork]:
        network = make_small_network(**changes)
        return write_folder(tmp_path / "published", network), network

    return make


@pytest.fixture
def statistics() -> dict[str, dict[str, list[float]]]:
    """Of a data set, as dataset_statistics.json has them."""
    return json.loads(json.dumps(STATISTICS))


@pytest.fixture(scope="session")
def small_network() -> Callable[..., OpenVlaNetwork]:
    """Makes a network with towers, small enough for a test."""
    return make_small_network
