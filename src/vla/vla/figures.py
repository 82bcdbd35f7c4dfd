"""What the figures of a run say in words: the same for the terminal and for the report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_KHZ = "finite differences of the positions that the arm's controller was commanded, at 1 kHz"


@dataclass(frozen=True)
class Statement:
    """A figure in words.

    Attributes:
        name: of the figure.
        value: with its unit.
        measured: how.
    """

    name: str
    value: str
    measured: str


def statements(figures: Mapping[str, Any]) -> list[Statement]:
    """The figures of an evaluation (:meth:`vla.evaluation.Evaluation.to_json`), and those of a demo where they are there."""
    return [*_of_success(figures), *_of_commands(figures), *_of_policy(figures), *_of_demo(figures), _took(figures)]


@dataclass(frozen=True)
class Tile:
    """A figure in two or three words, for the top of a page. ``alarming``: it should not be like that."""

    name: str
    value: str
    alarming: bool = False


def tiles(figures: Mapping[str, Any]) -> list[Tile]:
    """The few figures that one wants to see first, besides the success rate."""
    violations = sum(figures["limit_violations"].values())
    latency = figures["policy_latency_ms"]
    found = [Tile("limit violations at 1 kHz", str(violations), alarming=violations > 0)]
    if is_number(latency["p95"]):
        found.append(Tile("inference latency, p50 / p95", f"{latency['p50']:.1f} / {latency['p95']:.1f} ms"))
    found.append(Tile("command rate", f"{figures['command_rate_hz']:.1f} Hz"))
    stale = figures["stale_observations"]
    found.append(Tile("stale observations", str(stale), alarming=stale > 0))
    if replay := figures.get("replay"):
        found.append(Tile("rms error of the replay", f"{1e3 * replay['rms_rad']:.2f} mrad"))
    return found


def is_number(value: float | None) -> bool:
    """Whether a figure was measured: JSON has null where a measurement has no number."""
    return value is not None and math.isfinite(value)


def _of_success(figures: Mapping[str, Any]) -> Iterator[Statement]:
    low, high = 100 * figures["wilson_low"], 100 * figures["wilson_high"]
    rate = f"{figures['successes']} of {figures['episodes']}, {100 * figures['success_rate']:.1f} %"
    yield Statement(
        "success",
        f"{rate} (95 % interval {low:.1f} to {high:.1f})",
        "the task's own test, in worlds that no demonstration is recorded in; Wilson score interval",
    )


def _of_commands(figures: Mapping[str, Any]) -> Iterator[Statement]:
    cycles = figures["commanded_cycles"]
    counts = ", ".join(f"{kind} {count}" for kind, count in figures["limit_violations"].items())
    yield Statement("limit violations", counts, f"{_KHZ}, over {cycles} cycles; every joint counts")
    shares = ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in figures["limit_use"].items())
    yield Statement("largest limit use", shares, f"{_KHZ}; the largest of all joints and cycles")
    yield Statement("rms jerk", f"{figures['rms_jerk']:.1f} rad/s³ over {cycles} cycles at 1 kHz", _KHZ)
    rate = f"{figures['command_rate_hz']:.1f} Hz of simulated time"
    yield Statement("command rate", rate, "commands sent while the policy ran, per second of simulated time")


def _of_policy(figures: Mapping[str, Any]) -> Iterator[Statement]:
    latency = ", ".join(
        f"{name} {f'{value:.1f} ms' if is_number(value) else 'none'}"
        for name, value in figures["policy_latency_ms"].items()
    )
    yield Statement(
        "inference latency",
        latency,
        "from the assembled observation to the actions, in real time on this machine; simulated time stands still meanwhile",
    )
    chunks = f"{figures['chunks']} published, {figures['chunks_refused']} refused"
    yield Statement("chunks", chunks, "counted by policy_node and by command_node")
    stale = "inferences that policy_node refused because a stream was too old or missing"
    yield Statement("stale observations", str(figures["stale_observations"]), stale)


def _of_demo(figures: Mapping[str, Any]) -> Iterator[Statement]:
    if made := figures.get("demonstrations"):
        mean_s = sum(one["duration_s"] for one in made) / len(made)
        steps = sum(one["steps"] for one in made)
        text = f"{len(made)} recorded, {steps} steps, {mean_s:.1f} s on average"
        yield Statement(
            "demonstrations", text, "by the simulated expert, through the keys of the recorder; simulated time"
        )
    if streams := figures.get("streams"):
        rates = ", ".join(f"{name} {_rate(found)}" for name, found in streams.items())
        yield Statement(
            "stream rates", f"{rates} Hz", "messages per second of recorded simulated time, of those declared"
        )
        ages = ", ".join(f"{name} {found['age_ms']['max']:.0f}" for name, found in streams.items())
        yield Statement("largest stream ages", f"{ages} ms", "stamp of a recorded step minus stamp of the value in it")
    if replay := figures.get("replay"):
        error = f"rms {1e3 * replay['rms_rad']:.2f} mrad, largest {1e3 * replay['max_rad']:.2f} mrad"
        if replay["success"] is not None:
            error += ", the task was done again" if replay["success"] else ", the task was not done"
        yield Statement("replay", error, "replayed minus recorded joint positions, over all steps and joints")


def _rate(found: Mapping[str, Any]) -> str:
    rate = "?" if found["rate_hz"] is None else f"{found['rate_hz']:.1f}"
    return f"{rate} of {found['declared_hz']:g}" if found["declared_hz"] else rate


def _took(figures: Mapping[str, Any]) -> Statement:
    included = "the whole demo" if "demonstrations" in figures else "start-up not included"
    return Statement("took", f"{figures['seconds']:.0f} s", f"real time on this machine, {included}")
