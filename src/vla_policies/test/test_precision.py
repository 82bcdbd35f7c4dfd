"""16 bits on a processor: every preset's chunk is nearly that of 32, and what the references keep in 32 bits is kept."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vla_core.errors import CheckpointError
from vla_policies.batch import NetworkInputs, NetworkShape
from vla_policies.crossformer.config import Trunk
from vla_policies.crossformer.transformer import Transformer
from vla_policies.families import build_network
from vla_policies.pi0.gemma import attention_bias
from vla_policies.precision import set_precision
from vla_policies.training.cli import PRESETS
from vla_policies.training.config import load_preset

CPU = torch.device("cpu")
SMALL = sorted(path.stem for path in PRESETS.glob("*_small.yaml"))


def network_of(name: str) -> tuple[str, nn.Module]:
    preset = load_preset(PRESETS / f"{name}.yaml")
    torch.manual_seed(0)
    network = build_network(preset.family, preset.network, NetworkShape(2, 8, 8, preset.action_horizon), name)
    return preset.family, network.eval()


def chunk(name: str, precision: str) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    images = tuple(torch.rand((1, 3, 96, 128), generator=generator) * 2.0 - 1.0 for _ in range(2))
    state = torch.rand((1, 8), generator=generator) * 2.0 - 1.0
    family, network = network_of(name)
    mixed = set_precision(network, family, precision, CPU)
    inputs = NetworkInputs(images, state, ("pick up the cube",))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        if name == "oft_discrete_small":  # untrained, its two best bins may be as good as each other, and anywhere
            return network.slot_logits(*network._prompt_and_context(inputs)).float()
        return network.predict(inputs).float()


@pytest.mark.parametrize("name", SMALL)
def test_a_chunk_in_16_bits_is_nearly_that_in_32(name) -> None:
    wide, narrow = chunk(name, "float32"), chunk(name, "bfloat16")
    difference = (wide - narrow).abs()
    assert difference.max() > 0.0  # it is computed otherwise
    assert difference.mean() < 0.03 * wide.std()


def test_what_the_references_keep_in_32_bits() -> None:
    kept = {}
    for name in SMALL:
        family, network = network_of(name)
        set_precision(network, family, "bfloat16", CPU)
        kept[name] = {key for key, parameter in network.named_parameters() if parameter.dtype == torch.float32}
        every = {key for key, _ in network.named_parameters()}
        if family in ("act", "crossformer"):
            assert kept[name] == every
        elif family in ("pi0", "pi05"):
            towers = {key for key in every if key.startswith("model.paligemma_with_expert.")}
            norms = {key for key in towers if "layernorm" in key or "model.norm" in key}
            assert kept[name] == every - towers | norms
        else:
            assert kept[name] == set()


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [("cpu", None, torch.float32), ("cuda", None, torch.bfloat16), ("cuda", "float32", torch.float32)],
)
def test_without_a_wish_it_is_as_the_reference(device, precision, expected) -> None:
    for name in ("pi0_small", "groot_small", "oft_l1_small"):
        family, network = network_of(name)
        set_precision(network, family, precision, torch.device(device))
        assert expected in {parameter.dtype for parameter in network.parameters()}
        assert (expected == torch.bfloat16) or {parameter.dtype for parameter in network.parameters()} == {expected}
    assert not set_precision(network_of("act_small")[1], "act", None, torch.device("cuda"))


def test_another_precision_is_refused() -> None:
    with pytest.raises(CheckpointError, match="dtype: expected 'float32' or 'bfloat16', found 'int8'"):
        set_precision(nn.Linear(1, 1), "act", "int8", CPU)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
def test_masked_keys_of_crossformer_have_no_influence(dtype, autocast) -> None:
    """Also where a query may attend to nothing, and where the scores have fewer bits than the tokens."""
    torch.manual_seed(0)
    trunk = Trunk(token_dim=16, layers=2, mlp_dim=24, heads=2, dropout=0.0)
    network = Transformer(trunk).eval().to(torch.float32 if autocast else dtype)
    x = torch.randn(1, 6, 16).to(torch.float32 if autocast else dtype)
    attends = torch.ones(1, 6, 6, dtype=torch.bool)
    attends[:, :, 4:] = False
    attends[:, 5] = False
    other = x.clone()
    other[:, 4] += 3.0
    narrow = dtype if dtype != torch.float32 else torch.bfloat16
    with torch.no_grad(), torch.autocast("cpu", narrow, enabled=autocast):
        first, second = (network(tokens, torch.zeros(1, 6, 16, dtype=tokens.dtype), attends) for tokens in (x, other))
    assert torch.isfinite(first).all()
    assert torch.equal(first[:, :4], second[:, :4])
    assert not torch.equal(first[:, 4], second[:, 4])


def test_masked_keys_of_pi0_have_no_influence_in_16_bits() -> None:
    allowed = torch.tensor([[[True, True, False], [False, False, False]]])
    bias = attention_bias(allowed).to(torch.bfloat16)
    torch.manual_seed(0)
    query, keys, values = torch.randn(3, 1, 1, 3, 8).to(torch.bfloat16)
    other = keys.clone()
    other[:, :, 2] += 5.0
    first, second = (
        nn.functional.scaled_dot_product_attention(query[:, :, :2], those, values, bias) for those in (keys, other)
    )
    assert torch.isfinite(first).all()
    assert torch.equal(first[:, :, 0], second[:, :, 0])
