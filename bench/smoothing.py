"""Smoothness, lag and cost of what is made of a stream of chunks: 50 Hz knots, 10 mrad jumps between chunks, 2 mrad knot noise.

The jerk is compared with that of the same chunks sent as positions only, which joint_trajectory_controller interpolates in
straight lines. Both are measured at 1 kHz by third differences. The lag is the shift by which the commands fit the movement that
is meant best, on chunks without noise and jumps. A tick's cost is processor time of this thread, without the garbage collector,
whose time depends on what else the process holds.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bench.support.controller_commands import CYCLE_NS, ControllerCommands
from bench.support.figures import machine, publish
from bench.support.smoothing_stream import Stream, stream
from vla_core.chunking import RecedingHorizon
from vla_core.embodiment import Embodiment, JointLimits, load_embodiment
from vla_core.motion.measure import CommandMeter, CommandQuality
from vla_core.motion.polynomial import Array
from vla_core.motion.smoother import Smoother

app = typer.Typer()

_MS = 1_000_000
_ROUGHNESS = 5.0  # command_node's default
_SETTLED_NS = 1_000 * _MS  # the arm has come to the movement by then
_SHIFTS_MS = np.arange(-50.0, 50.5, 0.5)


@dataclass(frozen=True, eq=False)
class Run:
    """Commands of the stream (k, n), one a cycle [rad], and processor time of a tick and of taking a chunk [s]."""

    positions: Array
    tick_s: float
    chunk_s: float
    ticks: int


def smooth(embodiment: Embodiment, chunks: Stream, seconds: float) -> Run:
    """Runs the smoother over a stream, with the arm at rest where it begins."""
    limits, joints = JointLimits.of(embodiment), slice(0, len(embodiment.joints))
    scheduler = RecedingHorizon(_ROUGHNESS)
    start = chunks.movement(np.zeros(1))[0]
    smoother, commands = Smoother(limits, embodiment.motion, start, 0), ControllerCommands(start)
    period_ns = round(1e9 / embodiment.motion.control_rate_hz)
    times = [0.0, 0.0]  # of ticks and of taking chunks; read once a chunk, because reading takes longer than a tick
    arrivals = [at_ns for at_ns, _ in chunks.chunks]
    ticks = 0
    for (at_ns, chunk), until_ns in zip(chunks.chunks, [*arrivals[1:], round(seconds * 1e9)], strict=True):
        began = time.thread_time()
        scheduler.submit(chunk, at_ns)
        taken = time.thread_time()
        for now_ns in range(at_ns, until_ns, period_ns):
            smoothed = smoother.track(scheduler, joints, now_ns)
            ticks += 1
            if smoothed.changed:
                commands.receive(smoothed.plan, now_ns)
        times[0] += time.thread_time() - taken
        times[1] += taken - began
    return Run(commands.positions(round(seconds * 1e9)), times[0] / ticks, times[1] / len(arrivals), ticks)


def quality(limits: JointLimits, positions: Array) -> CommandQuality:
    """Limits and jerk of what was commanded once it had settled."""
    meter = CommandMeter(limits, CYCLE_NS * 1e-9)
    meter.add(positions[_SETTLED_NS // CYCLE_NS :])
    return meter.quality


def lag_ms(chunks: Stream, positions: Array) -> float:
    """The shift in time with which commands fit the movement best [ms]; a command is for the end of its cycle."""
    first, last = _SETTLED_NS // CYCLE_NS, len(positions) - _SETTLED_NS // CYCLE_NS
    times_s = (np.arange(first, last) + 1) * CYCLE_NS * 1e-9
    misfit = [
        float(((chunks.movement(times_s - shift * 1e-3) - positions[first:last]) ** 2).mean()) for shift in _SHIFTS_MS
    ]
    return float(_SHIFTS_MS[int(np.argmin(misfit))])


@app.command()
def main(
    seconds: Annotated[float, typer.Option(min=4.0, help="Length of a stream [s].")] = 20.0,
    repetitions: Annotated[int, typer.Option(min=5, help="Streams, each with another seed.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the first stream.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    """RMS jerk as a share of linear interpolation (at most 0.001), lag [ms] (10), processor time of a tick [us] (20)."""
    from vla.paths import checkout

    embodiment = load_embodiment(checkout() / "config" / "embodiments" / "fr3.yaml")
    limits, names = JointLimits.of(embodiment), embodiment.action_names
    ratios, lags, ticks_us, chunks_us, jerks, linear, violations = [], [], [], [], [], [], 0
    gc.disable()
    for number in range(seed, seed + repetitions):
        gc.collect()
        noisy = stream(limits, names, seconds, 10e-3, 2e-3, number)
        run = smooth(embodiment, noisy, seconds)
        ours = quality(limits, run.positions)
        times_ns = np.arange(len(run.positions), dtype=np.int64) * CYCLE_NS
        theirs = quality(limits, noisy.linear(times_ns))
        clean = stream(limits, names, seconds, 0.0, 0.0, number)
        lags.append(lag_ms(clean, smooth(embodiment, clean, seconds).positions))
        ratios.append(ours.rms_jerk / theirs.rms_jerk)
        jerks.append(ours.rms_jerk)
        linear.append(theirs.rms_jerk)
        ticks_us.append(run.tick_s * 1e6)
        chunks_us.append(run.chunk_s * 1e6)
        violations += ours.violations
    gc.enable()
    publish(
        {
            "jerk_ratio": float(np.median(ratios)),
            "lag_ms": float(np.max(np.abs(lags))),
            "us_per_tick": float(np.median(ticks_us)),
            "us_per_chunk": float(np.median(chunks_us)),
            "rms_jerk": float(np.median(jerks)),
            "rms_jerk_linear": float(np.median(linear)),
            "violations": violations,
            "ticks": run.ticks,
            "control_rate_hz": embodiment.motion.control_rate_hz,
            "repetitions": repetitions,
            "machine": machine(),
        },
        json_file,
    )
