"""ACT gives the numbers of tonyzhaozh/act and of LeRobot, in the middle and at the end.

Beside the golden vectors there are further variants of the network in ``data/act_variants``: the outputs of both references for
other sizes and settings, where inputs and weights are made from their names as those of the golden vectors are.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from recipe import standard_normal
from torch import Tensor

from vla_policies.act import ActConfig, ActNetwork
from vla_policies.act.keys import from_layout, to_layout
from vla_policies.batch import NetworkInputs, NetworkShape, NetworkTargets

TOLERANCE = 2e-5
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def network_for(config: dict, **changes: object) -> ActNetwork:
    settings = {
        "hidden_dim": config["hidden_dim"],
        "feedforward_dim": config["dim_feedforward"],
        "heads": config["nheads"],
        "encoder_layers": config["enc_layers"],
        "style_encoder_layers": config["enc_layers"],
        "latent_dim": config["latent_dim"],
        "kl_weight": config["kl_weight"],
        "pad_head": True,
        **changes,
    }
    shape = NetworkShape(len(config["camera_names"]), config["state_dim"], config["action_dim"], config["chunk_size"])
    return ActNetwork(ActConfig(**settings), shape).eval()


@pytest.fixture(scope="module")
def network(act_golden) -> ActNetwork:
    network = network_for(act_golden.description["config"])
    network.load_state_dict(from_layout(act_golden.weights, "original"), strict=True)
    return network


@pytest.fixture(scope="module")
def inputs(act_golden) -> NetworkInputs:
    images = (act_golden.arrays["in.image"] / 255.0 - MEAN) / STD
    return NetworkInputs(images=tuple(images.unbind(dim=1)), state=act_golden.arrays["in.qpos"])


@pytest.fixture(scope="module")
def targets(act_golden) -> NetworkTargets:
    return NetworkTargets(act_golden.arrays["in.actions"], act_golden.arrays["in.is_pad"])


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=TOLERANCE, rtol=0.0)


@torch.no_grad()
def test_inference(network, inputs, act_golden) -> None:
    close(network.predict(inputs), act_golden.arrays["out.action"])


@torch.no_grad()
def test_image_tokens_and_their_positions(network, inputs, act_golden) -> None:
    expected = act_golden.arrays["mid.camera_features"]  # (B, camera, d, h, w)
    for camera, image in enumerate(inputs.images):
        tokens, positions = network.image_tokens[0](network.backbones[0](image))
        close(tokens, expected[:, camera].flatten(2).transpose(1, 2))
        close(positions, act_golden.arrays["mid.image_pos_embed"][0].flatten(1).T)


@torch.no_grad()
def test_memory_and_decoder(network, inputs, act_golden) -> None:
    latent = torch.zeros(2, 32)
    memory, _ = network.encode(inputs, latent)
    rows, columns = act_golden.arrays["mid.camera_features"].shape[-2:]
    # the reference joins the cameras side by side, row by row; here one camera follows the other
    expected = act_golden.arrays["mid.memory"]
    images = expected[:, 2:].unflatten(1, (rows, 2, columns)).transpose(1, 2).flatten(1, 3)
    close(memory, torch.cat([expected[:, :2], images], dim=1))
    close(network.readouts(inputs, latent), act_golden.arrays["mid.decoder_layer0"])


@torch.no_grad()
@pytest.mark.parametrize(("denominator", "prefix"), [("all", "out."), ("valid", "out.lerobot_")])
def test_training_forward(denominator, prefix, network, inputs, targets, act_golden) -> None:
    arrays = act_golden.arrays
    network.head.denominator = denominator
    seen = {}

    def fixed_sample(mu: Tensor, logvar: Tensor) -> Tensor:
        seen.update(mu=mu, logvar=logvar, latent=mu + (logvar / 2).exp() * arrays["in.eps"])
        return seen["latent"]

    losses = network.losses(inputs, targets, fixed_sample)
    close(seen["mu"], arrays["out.mu"])
    close(seen["logvar"], arrays["out.logvar"])
    close(network.latent_projection(seen["latent"]), arrays["mid.train_latent_token"])
    readouts = network.readouts(inputs, seen["latent"])
    close(network.head(readouts), arrays["out.train_action"])
    close(network.pad_head(readouts), arrays["out.is_pad_logit"])
    close(losses["l1"], arrays[f"{prefix}l1"])
    close(losses["loss"], arrays[f"{prefix}loss"])
    close(losses["kl"], arrays["out.kl"])
    close(network.style_encoder.positions, arrays["mid.pos_table"])


def test_original_names_survive_the_way_there_and_back(act_golden) -> None:
    ours = from_layout(act_golden.weights, "original")
    written = to_layout(ours, "original")
    live = {key: tensor for key, tensor in act_golden.weights.items() if ".decoder.layers.2." not in key}
    assert set(live) <= set(written)
    for key, tensor in live.items():
        if ".decoder.layers.1." not in key:  # a dead layer, replaced by a copy of the first
            assert torch.equal(written[key], tensor), key
    close(written["model.pos_table"][0], act_golden.arrays["mid.pos_table"])
    reread = from_layout(written, "original")
    assert reread.keys() == ours.keys()
    assert all(torch.equal(reread[key], ours[key]) for key in ours)


def test_lerobot_names_are_those_of_lerobot(act_golden) -> None:
    from_original = act_golden.description["lerobot"]["key_from_original"]
    written = to_layout(from_layout(act_golden.weights, "original"), "lerobot")
    assert set(written) == set(from_original)
    for key, original_key in from_original.items():
        if original_key in act_golden.weights:
            assert torch.equal(written[key], act_golden.weights[original_key]), key


@torch.no_grad()
def test_lerobot_weights_give_the_same_actions(inputs, act_golden) -> None:
    from_original = act_golden.description["lerobot"]["key_from_original"]
    weights = {
        key: act_golden.weights[original] for key, original in from_original.items() if original in act_golden.weights
    }
    network = network_for(act_golden.description["config"], pad_head=False)
    network.load_state_dict(from_layout(weights, "lerobot"), strict=True)
    close(network.predict(inputs), act_golden.arrays["out.action"])


# ---------------------------------------------------------------- other sizes and settings

DATA = Path(__file__).parent / "data"
VARIANTS = json.loads((DATA / "act_variants.json").read_text())["variants"]
SETTINGS = [
    "hidden_dim",
    "feedforward_dim",
    "heads",
    "encoder_layers",
    "style_encoder_layers",
    "latent_dim",
    "activation",
    "pre_norm",
    "use_cvae",
]


def weight(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    values = standard_normal(seed, name, shape)
    if name.endswith("running_var"):
        values = 1 + 0.1 * np.abs(values)
    elif len(shape) > 1:
        values = values / np.sqrt(np.prod(shape[1:]))
    else:
        values = 0.1 * values + (1 if name.endswith("weight") else 0)
    return torch.from_numpy(values.astype(np.float32))


def variant_network(config: dict) -> ActNetwork:
    """With weights that have the names which the reference's have."""
    original = config["layout"] == "original"
    settings = {key: config[key] for key in SETTINGS}
    settings |= {"decoder_layers": 1 if original else config["decoder_layers"], "pad_head": original}
    settings |= {"l1_denominator": "all" if original else "valid"}
    shape = NetworkShape(config["cameras"], config["state_dim"], config["action_dim"], config["chunk_size"])
    network = ActNetwork(ActConfig(**settings), shape).eval()
    weights = {
        name: weight(config["seed"], name, tuple(tensor.shape))
        for name, tensor in to_layout(network.state_dict(), config["layout"]).items()
        if not name.endswith(("pos_table", "pos_enc")) and not (original and is_dead(name))
    }
    assert len(weights) == config["weights"]["count"]
    total = sum(tensor.double().sum().item() for tensor in weights.values())
    assert total == pytest.approx(config["weights"]["sum"], rel=1e-9)
    network.load_state_dict(from_layout(weights, config["layout"]), strict=True)
    return network


def is_dead(name: str) -> bool:
    return ".decoder.layers." in name and ".decoder.layers.0." not in name


def variant_inputs(config: dict) -> tuple[NetworkInputs, NetworkTargets, Tensor]:
    seed, batch, horizon = config["seed"], config["batch"], config["chunk_size"]
    rng = np.random.default_rng([seed, zlib.crc32(b"in.image")])
    image = rng.integers(0, 256, (batch, config["cameras"], 3, *config["image_hw"]), dtype=np.uint8)
    state, actions, eps = (
        torch.from_numpy(standard_normal(seed, name, shape).astype(np.float32))
        for name, shape in (
            ("in.state", (batch, config["state_dim"])),
            ("in.actions", (batch, horizon, config["action_dim"])),
            ("in.eps", (batch, config["latent_dim"])),
        )
    )
    images = (torch.from_numpy(image) / 255.0 - MEAN) / STD
    is_pad = torch.arange(horizon)[None] >= torch.tensor(config["pad_from"])[:, None]
    return NetworkInputs(tuple(images.unbind(dim=1)), state), NetworkTargets(actions, is_pad), eps


@torch.no_grad()
@pytest.mark.parametrize("name", VARIANTS)
def test_other_sizes_and_settings(name) -> None:
    config = VARIANTS[name]
    with np.load(DATA / "act_variants.npz", allow_pickle=False) as data:
        expected = {
            key.removeprefix(f"{name}."): torch.from_numpy(data[key])
            for key in data.files
            if key.startswith(f"{name}.")
        }
    network = variant_network(config)
    inputs, targets, eps = variant_inputs(config)
    close(network.predict(inputs), expected["action"])
    seen = {"latent": torch.zeros_like(eps)}

    def fixed_sample(mu: Tensor, logvar: Tensor) -> Tensor:
        seen.update(mu=mu, logvar=logvar, latent=mu + (logvar / 2).exp() * eps)
        return seen["latent"]

    losses = network.losses(inputs, targets, fixed_sample)
    readouts = network.readouts(inputs, seen["latent"])
    close(network.head(readouts), expected["train_action"])
    if network.pad_head is not None:
        close(network.pad_head(readouts), expected["pad_logit"])
    for key in ("mu", "logvar"):
        assert (key in seen) == (key in expected) == config["use_cvae"]
        if key in expected:
            close(seen[key], expected[key])
    assert losses.keys() == expected.keys() & {"loss", "l1", "kl"}
    for key, loss in losses.items():  # sums over many terms: hundreds, of which 32 bits keep seven digits
        torch.testing.assert_close(loss, expected[key], atol=TOLERANCE, rtol=1e-6)
