"""Success of one policy under every strategy and several inference delays, in the same worlds, in lockstep.

Each cell is a ``./vla eval``, whose figures stay in ``--out``: a run that was interrupted goes on. A policy whose chunks
cannot go on from the one that is executed is measured without real-time chunking.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from bench.support.commands import figures_of
from bench.support.figures import machine, publish
from vla.paths import named_policy
from vla.statistics import paired_p_value, wilson_interval
from vla_core.errors import ConfigError, choice
from vla_core.strategies import DEFAULT_DECAY, Strategy
from vla_policies import describe
from vla_policy_node.fake import FAKE

app = typer.Typer()

REAL_TIME_CHUNKING = "real_time_chunking"

_PAGE = """# Strategies under delay

Successes of `{name}` in {worlds} worlds of `{task}`, the same ones in every cell, in lockstep; with 95 % intervals (Wilson).
An inference takes the simulated time above each column; {horizon} steps are executed of each chunk. Made by

```
./vla bench strategies --policy DIR --task {task} --delays {delays} --worlds {worlds} --seed {seed} \\
    --execution-horizon {horizon} --prefix-decay {decay} --out DIR --markdown FILE
```

{table}{verdict}
"""

_BEHIND = """
Real-time chunking had fewer successes than another strategy in the cells below. p says how often two that are equally good
differ as much in the same worlds (McNemar's exact test):

"""

Row = dict[str, Any]


def row_of(strategy: str, delay_ms: float, measured: dict[str, Any]) -> Row:
    """One cell of the table, from the figures of an evaluation."""
    low, high = wilson_interval(measured["successes"], measured["episodes"])
    return {
        "strategy": strategy,
        "delay_ms": delay_ms,
        "successes": measured["successes"],
        "worlds": measured["episodes"],
        "success_rate": measured["success_rate"],
        "wilson": [low, high],
        "mean_duration_s": measured["mean_duration_s"],
        "rms_jerk": measured["rms_jerk"],
        "limit_violations": sum(measured["limit_violations"].values()),
        "chunks": measured["chunks"],
        **{name: measured[name] for name in ("chunks_refused", "chunks_discarded", "chunks_late", "ticks_starved")},
        "stopped": sum(bool(episode["message"]) for episode in measured["per_episode"]),
        "succeeded": [bool(episode["success"]) for episode in measured["per_episode"]],
    }


def table(rows: Sequence[Row]) -> str:
    """Strategies down, delays across, in the order in which they were measured."""
    strategies = list(dict.fromkeys(row["strategy"] for row in rows))
    delays = list(dict.fromkeys(row["delay_ms"] for row in rows))
    cells = {(row["strategy"], row["delay_ms"]): _cell(row) for row in rows}
    lines = ["| strategy | " + " | ".join(f"{delay:g} ms" for delay in delays) + " |", "|---" * (len(delays) + 1) + "|"]
    for name in strategies:
        lines.append(f"| {name} | " + " | ".join(cells.get((name, delay), "") for delay in delays) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: Row) -> str:
    low, high = (100.0 * end for end in row["wilson"])
    return f"{row['successes']} of {row['worlds']} ({low:.0f} to {high:.0f} %)"


def behind(rows: Sequence[Row]) -> list[Row]:
    """Where real-time chunking had fewer successes than another strategy at the same delay.

    Returns:
        One for each: ``delay_ms``, ``strategy``, ``successes`` of both (real-time chunking's first), ``worlds``, in how many of
        them ``only_ours`` and ``only_theirs`` succeeded, and ``p_value`` of that.
    """
    ours = {row["delay_ms"]: row for row in rows if row["strategy"] == REAL_TIME_CHUNKING}
    return [
        _difference(ours[row["delay_ms"]], row)
        for row in rows
        if row["delay_ms"] in ours and row["successes"] > ours[row["delay_ms"]]["successes"]
    ]


def _difference(ours: Row, theirs: Row) -> Row:
    pairs = list(zip(ours["succeeded"], theirs["succeeded"], strict=True))
    only_ours, only_theirs = pairs.count((True, False)), pairs.count((False, True))
    return {
        "delay_ms": theirs["delay_ms"],
        "strategy": theirs["strategy"],
        "successes": [ours["successes"], theirs["successes"]],
        "worlds": theirs["worlds"],
        "only_ours": only_ours,
        "only_theirs": only_theirs,
        "p_value": paired_p_value(only_ours, only_theirs),
    }


def verdict(rows: Sequence[Row]) -> str:
    """What the table says of real-time chunking; nothing if it was not measured."""
    if not any(row["strategy"] == REAL_TIME_CHUNKING for row in rows):
        return ""
    found = behind(rows)
    if not found:
        return "\nReal-time chunking had at least as many successes as every other strategy at every delay.\n"
    lines = [
        f"- {each['delay_ms']:g} ms: {each['strategy']} {each['successes'][1]}, real-time chunking {each['successes'][0]} of "
        f"{each['worlds']}; worlds in which only the former succeeded: {each['only_theirs']}, only the latter: "
        f"{each['only_ours']}; p = {each['p_value']:.2g}"
        for each in found
    ]
    return _BEHIND + "\n".join(lines) + "\n"


def chosen(names: Sequence[str], policy: str) -> list[str]:
    """The strategies to measure: those that are named, or all that the policy can be run with.

    Raises:
        ConfigError: one is unknown.
    """
    known = get_args(Strategy)
    for name in names:
        if name not in known:
            raise ConfigError(f"--strategy: expected {choice(known)}, found '{name}'")
    if names:
        return list(names)
    continues = policy == FAKE or describe(Path(policy))["real_time_chunking"] is not None
    return [name for name in known if continues or name != REAL_TIME_CHUNKING]


def require_same(file: Path, measured: dict[str, Any], **expected: str) -> None:
    """Raises ConfigError if the figures, which an earlier run may have left, are of something else."""
    for name, value in expected.items():
        if measured[name] != value:
            raise ConfigError(
                f"--out: {file}: expected figures of the {name} {value}, found {measured[name]}; name another folder"
            )


def delays_of(text: str) -> list[float]:
    """``0,100,200`` [ms]. Raises ConfigError."""
    try:
        delays = [float(part) for part in text.split(",")]
    except ValueError:
        delays = []
    if not delays or min(delays) < 0:
        raise ConfigError(f"--delays: expected milliseconds such as 0,100,200,300, found '{text}'")
    return delays


@app.command()
def strategies(
    out: Annotated[Path, typer.Option(help="Folder for the figures of each cell.")],
    policy: Annotated[str, typer.Option(help="Checkpoint folder; the shipped one by default. fake: a slow wave.")] = "",
    delays: Annotated[str, typer.Option(help="Simulated time that an inference takes [ms].")] = "0,100,200,300",
    strategy: Annotated[list[str] | None, typer.Option(help="Only this one; may be given several times.")] = None,
    task: Annotated[str, typer.Option(help="Name in config/tasks, or a file.")] = "pick_place",
    worlds: Annotated[int, typer.Option(min=1, help="Worlds in which each is measured.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Which worlds.")] = 1,
    execution_horizon: Annotated[int, typer.Option(min=1, help="Steps from one inference to the next.")] = 8,
    prefix_decay: Annotated[str, typer.Option(help="Real-time chunking: linear, exp, ones or zeros.")] = DEFAULT_DECAY,
    limit: Annotated[float, typer.Option(min=0.1, help="Simulated seconds after which an episode has failed.")] = 12.0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    markdown: Annotated[Path | None, typer.Option(help="Write a page with the table there.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
) -> None:
    """Success under every strategy and several inference delays, with intervals, as one table."""
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = named_policy(policy, task)
    measured_with = ["--task", task, "--episodes", worlds, "--seed", seed, "--limit", limit, "--device", device]
    measured_with += ["--policy", checkpoint, "--execution-horizon", execution_horizon]
    rows: list[Row] = []
    names, delays_ms = chosen(strategy or [], checkpoint), delays_of(delays)
    for delay_ms in delays_ms:
        for name in names:
            given = ["--strategy", name, "--inference-delay-ms", delay_ms]
            label = name
            if name == REAL_TIME_CHUNKING:
                given += ["--prefix-decay", prefix_decay]
                label = f"{name}_{prefix_decay}"
            file = out.resolve() / f"{label}_{delay_ms:g}ms_{worlds}_{seed}_{execution_horizon}.json"
            measured = figures_of(file, ["eval", *measured_with, *given])
            require_same(file, measured, policy=checkpoint, task=task)
            rows.append(row_of(name, delay_ms, measured))
            print(table(rows), flush=True)
    if markdown is not None:
        markdown.write_text(
            _PAGE.format(
                name=FAKE if checkpoint == FAKE else describe(Path(checkpoint))["name"],
                task=task,
                worlds=worlds,
                seed=seed,
                horizon=execution_horizon,
                decay=prefix_decay,
                delays=delays,
                table=table(rows),
                verdict=verdict(rows),
            )
        )
    publish({"policy": checkpoint, "rows": rows, "behind": behind(rows), "machine": machine()}, json_file)
