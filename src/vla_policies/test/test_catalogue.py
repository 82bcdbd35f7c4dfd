"""The list of heads names all that there are."""

from __future__ import annotations

import importlib

from vla_policies.catalogue import published_heads
from vla_policies.families import FAMILIES
from vla_policies.normalisation import SCHEMES


def test_every_family_is_there_with_heads_that_exist() -> None:
    heads = list(published_heads())
    assert {head.family for head in heads} == set(FAMILIES)
    for head in heads:
        importlib.import_module(f"vla_policies.heads.{head.head.split()[0]}")
        assert head.normalisation in SCHEMES
    assert {head.head: head.steps for head in heads}["diffusion"] == 50


def test_heads_that_go_on_from_a_chunk_say_so() -> None:
    assert {head.family for head in published_heads() if head.continues} == {"pi0", "pi05", "groot"}
