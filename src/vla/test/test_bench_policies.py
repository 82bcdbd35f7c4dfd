"""``./vla bench policies``: what it counts, what it measures on the smallest preset, and what it refuses."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from vla import cli
from vla.paths import checkout
from vla_policies.families import FAMILIES


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch):
    """Imports a module of the folder bench."""
    monkeypatch.setattr(sys, "path", [str(checkout()), *sys.path])

    def module(name: str) -> ModuleType:
        return importlib.import_module(f"bench.{name}")

    return module


def run(*arguments: str) -> tuple[str, dict]:
    """What the command prints, and what it writes."""
    *options, file = arguments
    result = CliRunner().invoke(cli.app, ["bench", "policies", *options, "--json", file])
    assert result.exit_code == 0, result.output
    return result.output, json.loads(Path(file).read_text())


def test_the_smallest_preset_on_a_processor(bench, tmp_path: Path) -> None:
    output, figures = run(
        "--device", "cpu", "--family", "act", "--rounds", "5", "--markdown", str(tmp_path / "out.json")
    )
    assert (figures["size"], figures["rounds"], figures["threads"]) == ("small", 5, torch.get_num_threads())
    (row,) = figures["policies"]
    assert (row["policy"], row["precision"], row["weight_bytes"]) == ("act_small", "float32", 4 * row["parameters"])
    assert 0 < row["p50_s"] <= row["p95_s"] <= row["p99_s"]
    assert row["peak_bytes"] > row["weight_bytes"]
    roofline = figures["roofline_float32"]
    least = max(row["read_bytes"] / roofline["bandwidth"], row["flops"] / roofline["flops"])
    assert row["roofline_s"] == pytest.approx(least)
    assert row["ratio"] == pytest.approx(row["p50_s"] / least)
    assert "| policy | parameters [M] |" in output
    assert f"| act_small | {row['parameters'] / 1e6:.2f} |" in output


def test_the_published_size_is_counted_without_a_device(bench, tmp_path: Path) -> None:
    output, figures = run("--device", "meta", "--family", "act", str(tmp_path / "out.json"))
    (row,) = figures["policies"]
    assert 51.5e6 < row["parameters"] < 51.7e6
    assert row["weight_bytes"] == 4 * row["parameters"]
    assert row["read_bytes"] > row["weight_bytes"]  # each camera reads the backbone
    assert "p50" not in output
    assert "p50_s" not in row


def test_operations_and_weights_are_counted_as_often_as_they_are_used(bench) -> None:
    with torch.device("meta"):
        network = nn.ModuleDict({"table": nn.Embedding(1000, 16), "layer": nn.Linear(16, 8), "unused": nn.Linear(4, 4)})
        rows = torch.zeros(3, dtype=torch.int64)

    def twice() -> None:
        for _ in range(2):
            network["layer"](network["table"](rows))

    with torch.no_grad():
        flops, elements = bench("support.operations").count_operations(network, twice)
    assert flops == 2 * (2 * 3 * 16 * 8)
    assert elements == {"table.weight": 2 * 3 * 16, "layer.weight": 2 * 16 * 8, "layer.bias": 2 * 8}


def test_attention_is_counted(bench) -> None:
    with torch.device("meta"):
        query = torch.zeros(1, 4, 10, 32)
    counted, _ = bench("support.operations").count_operations(
        nn.Identity(), lambda: nn.functional.scaled_dot_product_attention(query, query, query)
    )
    assert counted == 2 * (2 * 4 * 10 * 10 * 32)


def test_every_family_has_its_published_and_its_small_size(bench) -> None:
    cases = bench("support.policy_cases")
    for made in (cases.full_cases(), cases.small_cases()):
        assert {case.family for case in made} == set(FAMILIES)
        assert len({case.name for case in made}) == len(made)
        assert all(len(case.images) == case.shape.cameras for case in made)
    assert set(cases.GPU_PRECISION) == set(FAMILIES)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("preset", ["pi05_small", "groot_small", "oft_diffusion_small"])
def test_a_filled_network_predicts(bench, preset: str, precision: str) -> None:
    """In 16 bits, too, which these families have on a GPU alone."""
    networks = bench("support.policy_networks")
    case = next(case for case in bench("support.policy_cases").small_cases() if case.name == preset)
    with networks.skeleton(case, precision) as network, torch.inference_mode():
        networks.fill(network, torch.device("cpu"))
        chunk = networks.predict(network, networks.random_inputs(case, torch.device("cpu")))
        assert getattr(torch, precision) in {parameter.dtype for parameter in network.parameters()}
    assert chunk.shape == (1, case.shape.action_horizon, case.shape.action_dim)
    assert chunk.isfinite().all()


def test_tied_weights_stay_tied(bench) -> None:
    with torch.device("meta"):
        network = nn.ModuleDict({"table": nn.Embedding(10, 4), "head": nn.Linear(4, 10, bias=False)})
    network["head"].weight = network["table"].weight
    bench("support.policy_networks").fill(network, torch.device("cpu"))
    assert network["head"].weight is network["table"].weight
    assert 0 < network["head"].weight.abs().max() < 1


def test_what_does_not_fit_is_refused_with_both_figures(bench) -> None:
    policies, operations = bench("policies"), bench("support.operations")
    works = {"large": operations.Work(10**9, 4 * 10**9, 1, 1), "small": operations.Work(1, 4, 1, 1)}
    with pytest.raises(policies.BenchError, match="large: expected 5073741824 bytes") as refused:
        policies.require_memory(works, 2 * 10**9, "cpu")
    assert "found 2000000000 bytes" in str(refused.value)
    assert "small" not in str(refused.value).splitlines()[0]
    policies.require_memory(works, 6 * 10**9, "cpu")


def test_a_family_that_there_is_not_is_refused(bench) -> None:
    policies = bench("policies")
    with pytest.raises(policies.BenchError, match=r"--family: expected .*'pi0'.*, found 'pi'"):
        policies.chosen([], ["pi"])
