"""What a policy is, for a terminal: the data of :func:`vla_policies.describe` in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

_MEGA = 1e6
_PLACES = {"weights_bytes": "in files", "memory_bytes": "in memory"}
_MISFITS = {"untrained_weights": "missing", "weights_left_out": "unexpected"}


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
    if "fits" in described:
        console.print()
        console.print(_robot(described))


def _facts(described: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rate, horizon = described["step_rate_hz"], described["action_horizon"]
    yield "policy", described["policy_id"]
    yield "container", described["container"]
    yield "family", f"{described['family']}, action head {described['head']}"
    if described["real_time_chunking"]:
        yield "goes on", f"from the chunk that is executed: {described['real_time_chunking']}"
    yield "network", ", ".join(f"{key} {_word(value)}" for key, value in _flat(described["network"]))
    sizes = [f"{described[key] / _MEGA:.1f} MB {where}" for key, where in _PLACES.items()]
    yield "size", f"{described['parameters']:,} parameters, {', '.join(sizes)}"
    for key, what in _MISFITS.items():
        if described[key]:
            yield what, ", ".join(described[key])
    yield "robot", described["embodiment"]
    yield (
        "actions",
        f"{described['action_kind']}, {described['action_reference']}, {len(described['actions'])} dimensions",
    )
    for transform in described["transforms"]:
        others = ", ".join(f"{key} {_word(value)}" for key, value in transform.items() if key != "kind")
        yield "transform", f"{transform['kind']}: {others}"
    yield "horizon", f"{horizon} actions at {rate:g} Hz, {described['chunk_seconds']:.2f} s"
    yield "made", f"{described['created']} from {described['source']}"
    if described["license"]:
        yield "license", described["license"]
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
    names = _statistics_names(described, described["cameras"])
    table = Table("camera", "serves as", "pixels", "normalisation", *names, box=None, padding=(0, 1))
    for role, size in described["cameras"].items():
        rows = described["statistics"][role]
        scheme = described["normalisation"][role]["scheme"]
        numbers = [" ".join(f"{value:.3f}" for value in values) for values in zip(*map(_numbers, rows), strict=True)]
        table.add_row(role, described["camera_inputs"][role], size, scheme, *(numbers or [""] * len(names)))
    return table


def _vectors(described: Mapping[str, Any]) -> Table:
    table = Table("vector", "element", "unit", "normalisation", box=None, padding=(0, 2))
    groups = [
        (group, names, described["proprioception_units"][group]) for group, names in described["proprioception"].items()
    ]
    groups.append(("action", described["action_names"], described["action_units"]))
    statistics = _statistics_names(described, [group for group, _, _ in groups])
    for name in statistics:
        table.add_column(name, justify="right")
    for group, names, units in groups:
        before = ""
        for index, (name, unit) in enumerate(zip(names, units, strict=True)):
            rows = described["statistics"][group]
            row = rows[index] if rows else {"scheme": "identity"}
            scheme, before = "" if row["scheme"] == before else row["scheme"], row["scheme"]
            numbers = [f"{value:.4f}" for value in _numbers(row)] or [""] * len(statistics)
            table.add_row("" if index else group, name, unit, scheme, *numbers)
    return table


def _robot(described: Mapping[str, Any]) -> Table:
    """What of a robot the policy would see, or why it is not for it."""
    fits = described["fits"]
    differences = fits["differences"]
    table = Table(
        f"{fits['embodiment']}: {'does not fit' if differences else 'fits'}", "", "", box=None, padding=(0, 2)
    )
    for difference in differences:
        table.add_row(difference, "", "")
    for role, camera in fits["cameras"].items():
        table.add_row(f"camera {role} as {described['camera_inputs'][role]}", camera["topic"], camera["pixels"])
    return table


def _statistics_names(described: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """A heading for each of the two columns of statistics, such as ``mean`` or, of several schemes, ``mean/q01``."""
    pairs = [_names(row) for key in keys for row in described["statistics"][key] if _names(row)]
    return ["/".join(dict.fromkeys(names)) for names in zip(*pairs, strict=True)] or ["", ""]


def _names(row: Mapping[str, Any]) -> list[str]:
    return [name for name in row if name != "scheme"]


def _numbers(row: Mapping[str, Any]) -> list[float]:
    return [row[name] for name in _names(row)]


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The values of mappings inside of each other, by names such as ``head.layers``."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(_word, value)) or "none"
    return str(value).replace("\n", "\\n") if value or value == 0 else "none"
