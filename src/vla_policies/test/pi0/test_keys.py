"""At their published sizes, pi0 and pi0.5 have the parameters of the published checkpoints, by name and shape."""

from __future__ import annotations

import pytest
import torch

from vla_policies.pi0 import Pi0Config, Pi0Model, Pi05Config
from vla_policies.pi0.paligemma import cast_towers

VOCABULARY, ACTIONS = 257152, 32
VLM, EXPERT, DEPTH, HEADS = 2048, 1024, 18, 2048  # eight heads of 256
VISION, VISION_MLP, VISION_DEPTH = 1152, 4304, 27
TOWERS = "paligemma_with_expert"
VISION_PREFIX = f"{TOWERS}.paligemma.model.vision_tower.vision_model"

Keys = dict[str, tuple[int, ...]]


def linear(name: str, out: int, into: int) -> Keys:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def layer_norm(name: str) -> Keys:
    return {f"{name}.weight": (VISION,), f"{name}.bias": (VISION,)}


def vision() -> Keys:
    keys = {
        f"{VISION_PREFIX}.embeddings.patch_embedding.weight": (VISION, 3, 14, 14),
        f"{VISION_PREFIX}.embeddings.patch_embedding.bias": (VISION,),
        f"{VISION_PREFIX}.embeddings.position_embedding.weight": (256, VISION),
        **layer_norm(f"{VISION_PREFIX}.post_layernorm"),
        **linear(f"{TOWERS}.paligemma.model.multi_modal_projector.linear", VLM, VISION),
    }
    for number in range(VISION_DEPTH):
        layer = f"{VISION_PREFIX}.encoder.layers.{number}"
        for norm in ("layer_norm1", "layer_norm2"):
            keys |= layer_norm(f"{layer}.{norm}")
        for projection in "qkv":
            keys |= linear(f"{layer}.self_attn.{projection}_proj", VISION, VISION)
        keys |= linear(f"{layer}.self_attn.out_proj", VISION, VISION)
        keys |= linear(f"{layer}.mlp.fc1", VISION_MLP, VISION) | linear(f"{layer}.mlp.fc2", VISION, VISION_MLP)
    return keys


def gemma(stack: str, width: int, mlp: int, adaptive: bool) -> Keys:
    def norm(name: str) -> Keys:
        return linear(f"{name}.dense", 3 * width, width) if adaptive else {f"{name}.weight": (width,)}

    keys = norm(f"{stack}.norm")
    for number in range(DEPTH):
        layer = f"{stack}.layers.{number}"
        keys |= norm(f"{layer}.input_layernorm") | norm(f"{layer}.post_attention_layernorm")
        keys |= {
            f"{layer}.self_attn.q_proj.weight": (HEADS, width),
            f"{layer}.self_attn.k_proj.weight": (256, width),
            f"{layer}.self_attn.v_proj.weight": (256, width),
            f"{layer}.self_attn.o_proj.weight": (width, HEADS),
            f"{layer}.mlp.gate_proj.weight": (mlp, width),
            f"{layer}.mlp.up_proj.weight": (mlp, width),
            f"{layer}.mlp.down_proj.weight": (width, mlp),
        }
    return keys


def published(adaptive: bool) -> Keys:
    language = f"{TOWERS}.paligemma.model.language_model"
    keys = {
        f"{language}.embed_tokens.weight": (VOCABULARY, VLM),
        f"{TOWERS}.paligemma.lm_head.weight": (VOCABULARY, VLM),
        f"{TOWERS}.gemma_expert.lm_head.weight": (VOCABULARY, EXPERT),
        **vision(),
        **gemma(language, VLM, 16384, adaptive=False),
        **gemma(f"{TOWERS}.gemma_expert.model", EXPERT, 4096, adaptive),
        **linear("action_in_proj", EXPERT, ACTIONS),
        **linear("action_out_proj", ACTIONS, EXPERT),
    }
    if adaptive:
        return keys | linear("time_mlp_in", EXPERT, EXPERT) | linear("time_mlp_out", EXPERT, EXPERT)
    keys |= linear("state_proj", EXPERT, ACTIONS) | linear("action_time_mlp_out", EXPERT, EXPERT)
    return keys | linear("action_time_mlp_in", EXPERT, 2 * EXPERT)


@pytest.mark.parametrize(("config", "adaptive"), [(Pi0Config(), False), (Pi05Config(), True)])
def test_keys_and_shapes(config, adaptive) -> None:
    with torch.device("meta"):
        model = Pi0Model(config)
    assert {key: tuple(value.shape) for key, value in model.state_dict().items()} == published(adaptive)
    assert model.paligemma_with_expert.paligemma.lm_head.weight is (
        model.paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight
    )


def test_in_16_bits_it_keeps_32_where_openpi_does() -> None:
    with torch.device("meta"):
        model = Pi0Model(Pi05Config())
        cast_towers(model.paligemma_with_expert, torch.bfloat16)
    wide = {name for name, parameter in model.named_parameters() if parameter.dtype == torch.float32}
    in_towers = {name.rpartition("layers.")[2].partition(".")[2] for name in wide if ".layers." in name}
    assert in_towers == {
        *("input_layernorm.weight", "input_layernorm.dense.weight", "input_layernorm.dense.bias"),
        *("post_attention_layernorm.weight", "post_attention_layernorm.dense.weight"),
        "post_attention_layernorm.dense.bias",
    }
    head = {name for name in wide if not name.startswith(TOWERS)}
    assert head == {name for name, _ in model.named_parameters() if not name.startswith(TOWERS)}
    assert wide - head - {name for name in wide if ".layers." in name} == {
        *(f"{VISION_PREFIX}.embeddings.patch_embedding.{which}" for which in ("weight", "bias")),
        f"{VISION_PREFIX}.embeddings.position_embedding.weight",
        f"{TOWERS}.paligemma.model.language_model.norm.weight",
        *(f"{TOWERS}.gemma_expert.model.norm.dense.{which}" for which in ("weight", "bias")),
    }


def test_lerobot_keeps_32_bits_in_the_whole_vision_tower() -> None:
    with torch.device("meta"):
        model = Pi0Model(Pi0Config())
        cast_towers(model.paligemma_with_expert, torch.bfloat16, vision=False)
    narrow = {name for name, parameter in model.named_parameters() if parameter.dtype == torch.bfloat16}
    assert narrow
    assert not [name for name in narrow if "vision_tower" in name or "projector" in name]
