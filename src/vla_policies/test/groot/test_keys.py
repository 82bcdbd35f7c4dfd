"""The names and shapes of the parameters of the published checkpoint, written out from its description."""

from __future__ import annotations

import pytest
import torch

from vla_policies.batch import NetworkShape
from vla_policies.groot import GrootConfig, GrootNetwork
from vla_policies.heads.flow_matching_dit import FlowMatchingDitConfig, FlowMatchingDitHead

Shapes = dict[str, tuple[int, ...]]

PUBLISHED_PARAMETERS = 2_724_163_520  # as those who trained it count them
EMBODIMENTS, STATE, ACTION = 32, 64, 32
TOKEN, HIDDEN, WIDTH = 1536, 1024, 2048
VISION, VISION_MLP = 1152, 4304
VOCABULARY, QWEN_MLP, QUERY, KEY, HEAD = 151680, 6144, 2048, 1024, 128


def linear(name: str, dim_out: int, dim_in: int) -> Shapes:
    return {f"{name}.weight": (dim_out, dim_in), f"{name}.bias": (dim_out,)}


def norm(name: str, dim: int) -> Shapes:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def per_embodiment(name: str, dim_in: int, dim_out: int) -> Shapes:
    return {f"{name}.W": (EMBODIMENTS, dim_in, dim_out), f"{name}.b": (EMBODIMENTS, dim_out)}


def block(name: str, dim: int, memory: int) -> Shapes:
    """Attention and the feed-forward part of a block of the head."""
    return {
        **linear(f"{name}.attn1.to_q", dim, dim),
        **linear(f"{name}.attn1.to_k", dim, memory),
        **linear(f"{name}.attn1.to_v", dim, memory),
        **linear(f"{name}.attn1.to_out.0", dim, dim),
        **linear(f"{name}.ff.net.0.proj", 4 * dim, dim),
        **linear(f"{name}.ff.net.2", dim, 4 * dim),
    }


def head_without_decoders() -> Shapes:
    shapes = {
        **per_embodiment("state_encoder.layer1", STATE, HIDDEN),
        **per_embodiment("state_encoder.layer2", HIDDEN, TOKEN),
        **per_embodiment("action_encoder.W1", ACTION, TOKEN),
        **per_embodiment("action_encoder.W2", 2 * TOKEN, TOKEN),
        **per_embodiment("action_encoder.W3", TOKEN, TOKEN),
        "future_tokens.weight": (32, TOKEN),
        "position_embedding.weight": (1024, TOKEN),
        **norm("vlln", WIDTH),
        **linear("model.timestep_encoder.timestep_embedder.linear_1", TOKEN, 256),
        **linear("model.timestep_encoder.timestep_embedder.linear_2", TOKEN, TOKEN),
        **linear("model.proj_out_1", 2 * TOKEN, TOKEN),
        **linear("model.proj_out_2", HIDDEN, TOKEN),
    }
    for index in range(4):
        name = f"vl_self_attention.transformer_blocks.{index}"
        shapes |= norm(f"{name}.norm1", WIDTH) | norm(f"{name}.norm3", WIDTH) | block(name, WIDTH, WIDTH)
    for index in range(16):
        name = f"model.transformer_blocks.{index}"
        shapes |= linear(f"{name}.norm1.linear", 2 * TOKEN, TOKEN)
        shapes |= block(name, TOKEN, WIDTH if index % 2 == 0 else TOKEN)
    return shapes


def decoder(name: str, dims: int) -> Shapes:
    return per_embodiment(f"{name}.layer1", HIDDEN, HIDDEN) | per_embodiment(f"{name}.layer2", HIDDEN, dims)


def eagle() -> Shapes:
    vision, language = "vision_model.vision_model", "language_model.model"
    shapes: Shapes = {
        f"{vision}.embeddings.patch_embedding.weight": (VISION, 3, 14, 14),
        f"{vision}.embeddings.patch_embedding.bias": (VISION,),
        f"{vision}.embeddings.position_embedding.weight": (256, VISION),
        **norm(f"{vision}.post_layernorm", VISION),
        f"{vision}.head.probe": (1, 1, VISION),
        f"{vision}.head.attention.in_proj_weight": (3 * VISION, VISION),
        f"{vision}.head.attention.in_proj_bias": (3 * VISION,),
        **linear(f"{vision}.head.attention.out_proj", VISION, VISION),
        **norm(f"{vision}.head.layernorm", VISION),
        **linear(f"{vision}.head.mlp.fc1", VISION_MLP, VISION),
        **linear(f"{vision}.head.mlp.fc2", VISION, VISION_MLP),
        **linear("mlp1.0", WIDTH, VISION),
        f"{language}.embed_tokens.weight": (VOCABULARY, WIDTH),
        f"{language}.norm.weight": (WIDTH,),
        "language_model.lm_head.weight": (VOCABULARY, WIDTH),
    }
    for index in range(27):
        name = f"{vision}.encoder.layers.{index}"
        shapes |= norm(f"{name}.layer_norm1", VISION) | norm(f"{name}.layer_norm2", VISION)
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= linear(f"{name}.self_attn.{part}", VISION, VISION)
        shapes |= linear(f"{name}.mlp.fc1", VISION_MLP, VISION) | linear(f"{name}.mlp.fc2", VISION, VISION_MLP)
    for index in range(12):
        name = f"{language}.layers.{index}"
        shapes |= {
            f"{name}.self_attn.q_proj.weight": (QUERY, WIDTH),
            f"{name}.self_attn.k_proj.weight": (KEY, WIDTH),
            f"{name}.self_attn.v_proj.weight": (KEY, WIDTH),
            f"{name}.self_attn.o_proj.weight": (WIDTH, QUERY),
            f"{name}.self_attn.q_norm.weight": (HEAD,),
            f"{name}.self_attn.k_norm.weight": (HEAD,),
            f"{name}.mlp.gate_proj.weight": (QWEN_MLP, WIDTH),
            f"{name}.mlp.up_proj.weight": (QWEN_MLP, WIDTH),
            f"{name}.mlp.down_proj.weight": (WIDTH, QWEN_MLP),
            f"{name}.input_layernorm.weight": (WIDTH,),
            f"{name}.post_attention_layernorm.weight": (WIDTH,),
        }
    return shapes


def prefixed(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + name: shape for name, shape in shapes.items()}


def shapes_of(module: torch.nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def test_the_whole_network_has_the_published_parameters() -> None:
    with torch.device("meta"):
        network = GrootNetwork(GrootConfig(), NetworkShape(cameras=2, state_dim=8, action_dim=8, action_horizon=16))
    expected = prefixed("backbone.eagle_model.", eagle()) | prefixed(
        "action_head.", head_without_decoders() | decoder("action_decoder", ACTION)
    )
    assert shapes_of(network) == expected
    assert sum(tensor.numel() for tensor in network.state_dict().values()) == PUBLISHED_PARAMETERS


@pytest.mark.parametrize("weighting", ["fixed", "uncertainty"])
def test_arm_and_claw_have_decoders_of_their_own(weighting) -> None:
    with torch.device("meta"):
        head = FlowMatchingDitHead(FlowMatchingDitConfig(decoder="arm_claw", loss_weighting=weighting))
    expected = head_without_decoders() | decoder("action_arm_decoder", 14) | decoder("action_claw_decoder", 2)
    if weighting == "uncertainty":
        expected |= {"task_log_sigma.arm": (), "task_log_sigma.claw": ()}
    assert shapes_of(head) == expected
