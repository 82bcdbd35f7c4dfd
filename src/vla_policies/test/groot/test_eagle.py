"""The backbone: its language model against its equations written out token by token, and where images and padding go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vla_policies.groot.config import EagleConfig, Qwen3Shape
from vla_policies.groot.eagle import Eagle, centre_crop
from vla_policies.groot.qwen3 import Qwen3
from vla_policies.pi0.config import SiglipShape

SHAPE = Qwen3Shape(width=12, layers=2, heads=4, kv_heads=2, head_dim=6, mlp_dim=20, vocabulary=40, rope_theta=100.0)
IMAGE = 39


def randomised(module: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        parameter.data.normal_(generator=generator).mul_(0.4)
    return module.eval()


def rms_norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return weight * x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)


def turned(x: np.ndarray, position: int) -> np.ndarray:
    """A head's numbers i and i + half as a complex number, turned by its angle."""
    half = len(x) // 2
    angle = position * SHAPE.rope_theta ** (-2.0 * np.arange(half) / len(x))
    pair = (x[:half] + 1j * x[half:]) * np.exp(1j * angle)
    return np.concatenate([pair.real, pair.imag])


def one_layer(weights: dict[str, np.ndarray], x: np.ndarray, first: int) -> np.ndarray:
    """Tokens (T, d) of which those before ``first`` are padding."""
    d, group = SHAPE.head_dim, SHAPE.heads // SHAPE.kv_heads
    z = rms_norm(x, weights["input_layernorm.weight"])
    heads = {name: (z @ weights[f"self_attn.{name}_proj.weight"].T).reshape(len(x), -1, d) for name in ("q", "k", "v")}
    for name in ("q", "k"):
        heads[name] = rms_norm(heads[name], weights[f"self_attn.{name}_norm.weight"])
    attended = np.zeros((len(x), SHAPE.heads, d))
    for token in range(len(x)):
        seen = range(first, token + 1) if token >= first else [token]
        for head in range(SHAPE.heads):
            query = turned(heads["q"][token, head], token)
            scores = np.array([query @ turned(heads["k"][other, head // group], other) for other in seen]) / np.sqrt(d)
            share = np.exp(scores - scores.max())
            values = heads["v"][list(seen), head // group]
            attended[token, head] = share @ values / share.sum()
    x = x + attended.reshape(len(x), -1) @ weights["self_attn.o_proj.weight"].T
    z = rms_norm(x, weights["post_attention_layernorm.weight"])
    gate, up = z @ weights["mlp.gate_proj.weight"].T, z @ weights["mlp.up_proj.weight"].T
    return x + (gate / (1 + np.exp(-gate)) * up) @ weights["mlp.down_proj.weight"].T


@torch.no_grad()
@pytest.mark.parametrize("padding", [0, 3])
def test_qwen3_is_what_its_equations_say(padding) -> None:
    model = randomised(Qwen3(SHAPE))
    x = torch.randn(1, 7, SHAPE.width, generator=torch.Generator().manual_seed(1))
    weights = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    expected = x[0].double().numpy()
    for index in range(SHAPE.layers):
        prefix = f"layers.{index}."
        mine = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        expected = one_layer(mine, expected, padding)
    expected = rms_norm(expected, weights["norm.weight"])
    found = model(x, torch.arange(7)[None] >= padding)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=0, atol=2e-5)


@pytest.fixture
def eagle() -> Eagle:
    vision = SiglipShape(width=8, depth=1, mlp_dim=12, heads=2, patch=4, image=8)
    return randomised(Eagle(EagleConfig(vision, SHAPE, image_token=IMAGE)))


def images_of(batch: int) -> Tensor:
    return torch.randn(batch, 2, 3, 8, 8, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_images_stand_where_their_tokens_are(eagle) -> None:
    tokens = torch.tensor([[1, *[IMAGE] * 4, 2, *[IMAGE] * 4, 3]])
    images = images_of(1)
    features = eagle(images, tokens, torch.ones_like(tokens, dtype=torch.bool))
    assert features.shape == (1, 11, SHAPE.width)
    changed = images.clone()
    changed[:, 1] = 0.0
    other = eagle(changed, tokens, torch.ones_like(tokens, dtype=torch.bool))
    assert torch.equal(features[:, :6], other[:, :6])  # the first image and what precedes the second
    assert not torch.isclose(features[:, 6:], other[:, 6:]).all(dim=-1).any()


@torch.no_grad()
def test_padding_in_front_does_not_change_what_follows(eagle) -> None:
    images, tokens = images_of(1), torch.tensor([[1, *[IMAGE] * 8, 5, 6]])
    features = eagle(images, tokens, torch.ones_like(tokens, dtype=torch.bool))
    longer = torch.cat([torch.tensor([[0, 0, 0]]), tokens], dim=1)
    padded = eagle(images, longer, torch.arange(longer.shape[1])[None] >= 3)
    torch.testing.assert_close(padded[:, 3:], features, rtol=0.0, atol=1e-5)
    assert torch.isfinite(padded).all()


def test_as_many_places_as_patches(eagle) -> None:
    tokens = torch.tensor([[1, *[IMAGE] * 7, 2]])
    with pytest.raises(ValueError, match="expected 8 places for patches of images, found 7"):
        eagle(images_of(1), tokens, torch.ones_like(tokens, dtype=torch.bool))


def test_the_crop_is_the_middle_of_the_image() -> None:
    image = torch.zeros(1, 3, 100, 200)
    image[..., 2:97, 5:195] = 1.0
    assert centre_crop(image, 0.95, 40).min() > 0.999
    image[..., 50, 100] = 0.0
    cropped = centre_crop(image, 1.0, 50)
    assert cropped[..., 0, 0].max() < 1.0  # the dark border is there
    assert 0.0 < cropped[0, 0, 25, 25] < 1.0  # shrinking averages: one dark point is not lost
