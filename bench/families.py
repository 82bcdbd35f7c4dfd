"""The small preset of every policy family, trained on the same demonstrations and measured in closed loop.

What has been trained or measured already, with its figures beside it, is not done again: a run that was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.support.commands import figures_of
from bench.support.figures import machine, publish
from vla_policies import describe

app = typer.Typer()

PRESETS = (
    "act_small",
    "oft_l1_small",
    "oft_discrete_small",
    "oft_diffusion_small",
    "pi0_small",
    "pi05_small",
    "groot_small",
    "crossformer_small",
)
_COLUMNS = {
    "preset": "preset",
    "head": "head",
    "parameters": "parameters",
    "train_steps": "steps",
    "train_minutes": "training [min]",
    "success": "success (95 %)",
    "latency": "latency p50 / p95 [ms]",
    "rms_jerk": "jerk, rms [rad/s³]",
    "violations": "limits broken",
}

_PAGE = """# The families on one task

Small presets of policy families, trained from scratch on the same {demonstrations} demonstrations of the simulated
expert and then measured in the same {worlds} unseen worlds of `pick_place`, in lockstep. Device: {device}. Made by

```
./vla record --expert {demonstrations} --seed 0 --out DIR
./vla bench families --demonstrations DIR --out DIR --worlds {worlds} --seed {seed}{others} --markdown docs/families.md
```

Success is in simulation; its interval is Wilson's, of 95 %. Latency is of one chunk, beside the simulation; training
took as long as it says with whatever else the machine did then.

{table}"""


@app.command()
def families(
    demonstrations: Annotated[Path, typer.Option(help="Folder of the episodes to train on.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and figures.")],
    preset: Annotated[list[str] | None, typer.Option(help="Only these, once for each.")] = None,
    worlds: Annotated[int, typer.Option(min=1, help="Worlds in which each is measured.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Which worlds.")] = 1,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps, if not those of the preset.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    markdown: Annotated[Path | None, typer.Option(help="Write a page with the table there.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
) -> None:
    """Success, latency, jerk and size of every family's small preset, trained on the same episodes."""
    rows = []
    for name in preset or PRESETS:
        rows.append(_row(name, demonstrations.resolve(), out.resolve() / name, worlds, seed, steps, device))
        print(_table(rows), flush=True)
    if markdown is not None:
        markdown.write_text(
            _PAGE.format(
                demonstrations=len(list(demonstrations.glob("*.hdf5"))),
                worlds=worlds,
                seed=seed,
                device=device,
                others=f" --steps {steps}" if steps else "",
                table=_table(rows),
            )
        )
    publish({"rows": rows, "machine": machine()}, json_file)


def _row(
    preset: str, demonstrations: Path, folder: Path, worlds: int, seed: int, steps: int | None, device: str
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    policy = folder / "policy"
    train = ["train", "--policy", preset, "--episodes", demonstrations, "--out", policy, "--device", device]
    trained = figures_of(folder / "train.json", [*train, *(["--steps", steps] if steps else [])])
    evaluate = ["eval", "--policy", policy, "--episodes", worlds, "--seed", seed, "--device", device]
    measured = figures_of(folder / f"eval_{worlds}_{seed}.json", evaluate)
    known = describe(policy)
    latency = measured["policy_latency_ms"]
    return {
        "preset": preset,
        "head": known["head"],
        "parameters": known["parameters"],
        "train_steps": trained["step"],
        "train_minutes": round(trained["seconds"] / 60, 1),
        "successes": measured["successes"],
        "worlds": measured["episodes"],
        "wilson": [measured["wilson_low"], measured["wilson_high"]],
        "success": f"{measured['successes']} of {measured['episodes']} "
        f"({100 * measured['wilson_low']:.1f} to {100 * measured['wilson_high']:.1f})",
        "latency": f"{latency['p50']:.1f} / {latency['p95']:.1f}",
        "rms_jerk": round(measured["rms_jerk"], 1),
        "violations": sum(measured["limit_violations"].values()),
    }


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| " + " | ".join(_COLUMNS.values()) + " |", "|" + "---|" * len(_COLUMNS)]
    lines += ["| " + " | ".join(str(row[column]) for column in _COLUMNS) + " |" for row in rows]
    return "\n".join(lines) + "\n"
