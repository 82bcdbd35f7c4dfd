"""What a policy is, for a terminal: the data of :func:`vla_policies.describe` in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

_MEGA = 1e6


def print_policy(described: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints what a policy is, what it sees, what it outputs, and how each of them is normalised."""
    console = console or Console(highlight=False, markup=False)
    facts = Table(show_header=False, box=None, padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    for name, value in _facts(described):
        facts.add_row(name, value)
    console.print(facts)
    console.print()
    console.print(_cameras(described))
    console.print()
    console.print(_vectors(described))


def _facts(described: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rate, horizon = described["step_rate_hz"], described["action_horizon"]
    yield "policy", described["policy_id"]
    yield "container", described["container"]
    yield "family", f"{described['family']}, action head {described['head']}"
    yield "network", ", ".join(f"{key} {_word(value)}" for key, value in described["network"].items())
    yield "size", f"{described['parameters']:,} parameters, {described['weights_bytes'] / _MEGA:.1f} MB"
    yield "robot", described["embodiment"]
    yield (
        "actions",
        f"{described['action_kind']}, {described['action_reference']}, {len(described['actions'])} dimensions",
    )
    yield "horizon", f"{horizon} actions at {rate:g} Hz, {described['chunk_seconds']:.2f} s"
    yield "made", f"{described['created']} from {described['source']}"
    if described["train_steps"]:
        steps, rows = described["train_steps"], described["episode_steps"]
        seed = "" if described["seed"] is None else f", seed {described['seed']}"
        yield "trained", f"{steps} steps on {described['episodes']} episodes of {rows} steps{seed}"
    if described["metrics"]:
        yield "measured", ", ".join(f"{name} {value:.4g}" for name, value in described["metrics"].items())
    if described["command_line"]:
        yield "command", described["command_line"]
    if described["versions"]:
        yield "versions", ", ".join(f"{name} {version}" for name, version in described["versions"].items())


def _cameras(described: Mapping[str, Any]) -> Table:
    table = Table("camera", "pixels", "normalisation", "mean", "std", box=None, padding=(0, 2))
    for role, size in described["cameras"].items():
        normalisation = described["normalisation"][role]
        stats = normalisation.get("stats", {"mean": [], "std": []})
        table.add_row(role, size, normalisation["scheme"], *(_numbers(stats[key]) for key in ("mean", "std")))
    return table


def _vectors(described: Mapping[str, Any]) -> Table:
    table = Table("vector", "element", "unit", "normalisation", box=None, padding=(0, 2))
    for name in ("mean", "std"):
        table.add_column(name, justify="right")
    groups = [
        (group, names, described["proprioception_units"][group]) for group, names in described["proprioception"].items()
    ]
    for group, names, units in [*groups, ("action", described["action_names"], described["action_units"])]:
        normalisation = described["normalisation"][group]
        stats = normalisation.get("stats")
        for index, (name, unit) in enumerate(zip(names, units, strict=True)):
            numbers = [f"{stats[key][index]:.4f}" for key in ("mean", "std")] if stats else ["", ""]
            first = (group, normalisation["scheme"]) if index == 0 else ("", "")
            table.add_row(first[0], name, unit, first[1], *numbers)
    return table


def _word(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
