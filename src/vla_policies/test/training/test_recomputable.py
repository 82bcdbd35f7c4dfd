"""Which layers of the published networks can be computed again."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from vla_policies.batch import NetworkShape
from vla_policies.families import FAMILIES, build_network
from vla_policies.training.keys import Keys, modules

FULL = {
    "act": ({}, NetworkShape(2, 14, 14, 100), {"_BasicBlock": 8, "EncoderLayer": 8, "DecoderLayer": 1}),
    "crossformer": ({}, NetworkShape(2, 8, 8, 50), {"_Unit": 16, "_Layer": 12}),
    "groot": (
        {"backbone": "eagle"},
        NetworkShape(2, 8, 8, 16),
        {"_Layer": 27 + 12, "DitBlock": 16, "_SelfAttentionBlock": 4},
    ),
    "openvla": ({}, NetworkShape(1, 8, 7, 8), {"Block": 24 + 27, "_Layer": 32}),
    "pi0": ({}, NetworkShape(2, 8, 8, 50), {"_Layer": 27, "GemmaLayer": 36}),
    "pi05": ({}, NetworkShape(2, 8, 8, 50), {"_Layer": 27, "GemmaLayer": 36}),
}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_layer_of_the_full_size_is_among_them_once(family) -> None:
    network, shape, expected = FULL[family]
    with torch.device("meta"):
        built = build_network(family, network, shape, "full")
    found = modules(built, Keys(FAMILIES[family].recomputable))
    assert Counter(type(module).__name__ for module in found.values()) == expected
    for name in found:
        assert not any(other.startswith(f"{name}.") for other in found)
