"""ACT gives the numbers of tonyzhaozh/act and of LeRobot, in the middle and at the end."""

from __future__ import annotations

import pytest
import torch
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
