"""How late command_node's commands are, and what inference, images and recording beside it add to that."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

_RATES_HZ = (100.0, 1000.0)
_BASELINE_HZ = 100.0


@app.command()
def jitter(
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of an idle and a loaded round, at each rate.")] = 5,
    window: Annotated[float, typer.Option(min=2, help="Seconds of a round.")] = 10,
    policy: Annotated[
        Path | None, typer.Option(help="Checkpoint that infers; default: checkpoints/pick_place.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Where episodes go; a temporary folder by default.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """How late command_node's commands are at 100 Hz and 1 kHz, idle and with everything else running.

    Real processes: a mock robot and a command_node that executes two chunks a second, in all rounds the same, and tells a
    controller at every tick where to be. Beside it a bare loop of the same priority says what the machine itself is worth.
    Loaded: a policy_node infers, a process publishes 3 cameras 640x480 at 30 Hz, and a recorder_node keeps their images.
    Rounds in turns; the ratio is the median of the pairs. A pair of which the host of a virtual machine took more than 1 % of
    the time is repeated, three at most. The baseline is a loop that sends one command again and again, with its inference in
    the same Python process.
    """
    import numpy as np

    from bench.support.figures import machine, publish
    from bench.support.jitter_rounds import one_process, rounds
    from vla.paths import checkout

    policy = policy or checkout() / "checkpoints" / "pick_place"
    figures = machine()
    with tempfile.TemporaryDirectory(dir=folder, prefix="vla_bench_") as place:
        for rate_hz in _RATES_HZ:
            here = Path(place) / f"{rate_hz:g}"
            here.mkdir()
            found = rounds(here, rate_hz, pairs, window, policy)
            figures |= found.figures()
            if rate_hz == _BASELINE_HZ:
                baseline = one_process(here, rate_hz, window, policy)
                p50, p99 = (float(np.percentile(baseline, share)) for share in (50, 99))
                ours = float(np.percentile(np.concatenate([loaded.late_us for _, loaded in found.pairs]), 50))
                figures |= {"baseline_p50_us": round(p50, 1), "baseline_p99_us": round(p99, 1)}
                figures["baseline_p50_ratio"] = round(p50 / ours, 2)
    publish(figures, json_file)
