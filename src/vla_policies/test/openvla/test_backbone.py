"""The towers and the Llama do what other implementations of the same equations do: torch's own layers, and complex numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vla_policies.openvla.config import LanguageConfig, TowerConfig
from vla_policies.openvla.llama import LanguageModel
from vla_policies.openvla.vision_transformer import Block, VisionTransformer

SIGLIP = TowerConfig(32, 3, 4, 80)
DINO = TowerConfig(32, 3, 4, 80, registers=2, class_token=True, layer_scale=True)
LLAMA = LanguageConfig(32, 3, 4, 56, vocabulary=600, padded_vocabulary=640)


def stirred(module: nn.Module) -> nn.Module:
    """With every parameter another number, in double precision."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return module.double().eval()


def torch_layer(block: Block) -> nn.TransformerEncoderLayer:
    """The same block as torch has it; its layer scales are taken into the matrices before them."""
    layer = nn.TransformerEncoderLayer(
        32, 4, 80, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True, dtype=torch.float64
    )
    scales = [getattr(half, "scale_factor", torch.ones(32, dtype=torch.float64)) for half in (block.ls1, block.ls2)]
    layer.self_attn.in_proj_weight.data, layer.self_attn.in_proj_bias.data = block.attn.qkv.weight, block.attn.qkv.bias
    for ours, theirs, scale in (
        (block.attn.proj, layer.self_attn.out_proj, scales[0]),
        (block.mlp.fc2, layer.linear2, scales[1]),
    ):
        theirs.weight.data, theirs.bias.data = scale[:, None] * ours.weight, scale * ours.bias
    layer.linear1.load_state_dict(block.mlp.fc1.state_dict())
    layer.norm1.load_state_dict(block.norm1.state_dict())
    layer.norm2.load_state_dict(block.norm2.state_dict())
    return layer.eval()


@torch.no_grad()
@pytest.mark.parametrize("config", [SIGLIP, DINO])
def test_a_tower_gives_its_patches_before_the_last_block(config) -> None:
    tower = stirred(VisionTransformer(config, 28))
    images = torch.randn(2, 3, 28, 28, dtype=torch.float64)
    patches = tower.patch_embed.proj.weight.flatten(1)
    x = torch.stack([images[..., r : r + 14, c : c + 14].flatten(1) @ patches.T for r in (0, 14) for c in (0, 14)], 1)
    x = x + tower.patch_embed.proj.bias + tower.pos_embed
    if config.class_token:
        x = torch.cat([tower.cls_token.expand(2, -1, -1), tower.reg_token.expand(2, -1, -1), x], dim=1)
    for block in list(tower.blocks)[:2]:
        x = torch_layer(block)(x)
    torch.testing.assert_close(tower(images), x[:, -4:])


@torch.no_grad()
def test_film_without_scale_and_shift_changes_nothing_and_with_them_between_the_halves() -> None:
    plain = stirred(VisionTransformer(SIGLIP, 28))
    film = stirred(VisionTransformer(SIGLIP, 28, film_dim=6))
    weights = {name.replace("blocks.", "blocks.", 1): tensor for name, tensor in plain.state_dict().items()}
    wrapped = {
        ".".join([*name.split(".")[:2], "block", *name.split(".")[2:]]) if name.startswith("blocks.") else name: tensor
        for name, tensor in weights.items()
    }
    film.load_state_dict({**film.state_dict(), **wrapped})
    images, language = torch.randn(2, 3, 28, 28).double(), torch.randn(2, 6).double()
    modulated = film(images, language)
    assert not torch.allclose(modulated, plain(images))
    block, x = film.blocks[0], torch.randn(2, 5, 32).double()
    inner = block.block
    half = x + inner.attn(inner.norm1(x))
    half = half * (1 + block.scale(language)[:, None]) + block.shift(language)[:, None]
    torch.testing.assert_close(block(x, language), half + inner.mlp(inner.norm2(half)))
    for wrapper in film.blocks:
        for linear in (wrapper.scale, wrapper.shift):
            linear.weight.zero_()
            linear.bias.zero_()
    torch.testing.assert_close(film(images, language), plain(images))


# ---------------------------------------------------------------- Llama


def llama_in_complex_numbers(model: LanguageModel, x: Tensor, allowed: Tensor) -> Tensor:
    """Hidden states of embeddings (L, d): heads one by one, rotary positions as multiplications in the complex plane."""
    width = LLAMA.hidden_dim // LLAMA.heads
    turns = torch.exp(-torch.arange(width // 2).double() * 2 / width * torch.log(torch.tensor(LLAMA.rope_theta)))
    rotation = torch.polar(torch.ones(len(x), width // 2).double(), torch.arange(len(x)).double()[:, None] * turns)

    def norm(weight: Tensor, y: Tensor) -> Tensor:
        return weight * y / torch.sqrt((y**2).mean(-1, keepdim=True) + LLAMA.norm_eps)

    def turned(y: Tensor) -> Tensor:
        z = torch.complex(*y.split(width // 2, dim=-1)) * rotation
        return torch.cat([z.real, z.imag], dim=-1)

    for layer in model.model.layers:
        y, attention = norm(layer.input_layernorm.weight, x), layer.self_attn
        heads = []
        for head in range(LLAMA.heads):
            rows = slice(head * width, (head + 1) * width)
            q, k, v = (y @ part.weight[rows].T for part in (attention.q_proj, attention.k_proj, attention.v_proj))
            scores = (turned(q) @ turned(k).T / width**0.5).masked_fill(~allowed, -torch.inf)
            heads.append(scores.softmax(-1) @ v)
        x = x + torch.cat(heads, dim=-1) @ attention.o_proj.weight.T
        y, part = norm(layer.post_attention_layernorm.weight, x), layer.mlp
        gate = y @ part.gate_proj.weight.T
        x = x + (gate * torch.sigmoid(gate) * (y @ part.up_proj.weight.T)) @ part.down_proj.weight.T
    return norm(model.model.norm.weight, x)


@pytest.fixture(scope="module")
def llama() -> LanguageModel:
    return stirred(LanguageModel(LLAMA))


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_llama_attends_both_ways_or_backwards_only(causal, llama) -> None:
    x = torch.randn(7, 32).double()
    allowed = torch.ones(7, 7, dtype=torch.bool)
    expected = llama_in_complex_numbers(llama, x, allowed.tril() if causal else allowed)
    found = llama.model(x[None], causal=causal)[0][0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0.0)  # its norms and positions are float32


@torch.no_grad()
def test_padding_has_no_place_and_no_effect(llama) -> None:
    x = torch.randn(1, 9, 32).double()
    there = torch.ones(1, 9, dtype=torch.bool)
    there[0, 1:4] = False
    for causal in (False, True):
        alone = llama.model(x[:, there[0]], causal=causal)[0]
        padded = llama.model(x, there, causal=causal)[0]
        torch.testing.assert_close(padded[:, there[0]], alone, atol=1e-6, rtol=0.0)


@torch.no_grad()
def test_a_cache_goes_on_where_it_ended(llama) -> None:
    x = torch.randn(2, 8, 32).double()
    there = torch.ones(2, 8, dtype=torch.bool)
    there[0, 1:3] = False
    whole = llama.model(x, there, causal=True)[0]
    first, cache = llama.model(x[:, :5], there[:, :5], causal=True)
    then, cache = llama.model(x[:, 5:7], there[:, :7], causal=True, cache=cache)
    last, _ = llama.model(x[:, 7:], there, causal=True, cache=cache)
    torch.testing.assert_close(torch.cat([first, then, last], dim=1), whole, atol=1e-6, rtol=0.0)
