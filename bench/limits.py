"""Whether anything that chunks can say makes the arm break a limit, or keeps it from coming to rest.

Each sequence of chunks goes through the executor as command_node runs it, and its plans through the interpolation of
joint_trajectory_controller at 1 kHz, with ticks that are late and plans that take time to arrive. What the controller commands
is differentiated, as an outsider would. A sequence is the same again for the same seed and number.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from bench.support.chunk_sequences import Case, case
from bench.support.controller_commands import CYCLE_NS, ControllerCommands
from bench.support.figures import machine, publish
from vla_core.chunking import RecedingHorizon, TemporalEnsembling
from vla_core.embodiment import Embodiment, JointLimits, load_embodiment
from vla_core.embodiment.schema import Safety
from vla_core.errors import ChunkError
from vla_core.execution import Executor
from vla_core.motion.measure import CommandMeter, CommandQuality

app = typer.Typer()

_MS = 1_000_000
_REST_NS = 20 * _MS  # how long the last commands must be one and the same
_LONGEST_NS = 20_000 * _MS
_MOVED = 1e-3  # [rad]
_LATE = 0.05  # share of the ticks that take longer than they should
_ANY_CHUNK = Safety(max_observation_age_ms=1e7, silence_ms=300.0, max_start_distance=1e308)


def execute(embodiment: Embodiment, tried: Case) -> tuple[ControllerCommands, int]:
    """Runs a sequence. Returns what the controller got, and when everything should be at rest [ns]."""
    random = np.random.default_rng(tried.seed)
    motion = dataclasses.replace(embodiment.motion, control_rate_hz=tried.control_rate_hz)
    embodiment = dataclasses.replace(embodiment, motion=motion, safety=_ANY_CHUNK)
    scheduler = TemporalEnsembling(0.01, tried.roughness) if tried.ensembling else RecedingHorizon(tried.roughness)
    executor = Executor(embodiment, scheduler)
    executor.arm(tried.start, np.zeros(len(tried.start)), None, 0, shadow=False)
    executor.expect_chunks(bool(random.random() < 0.5))
    commands = ControllerCommands(tried.start)
    period_ns = round(1e9 / tried.control_rate_hz)
    chunks, speeds = list(tried.chunks), list(tried.speeds)
    last_ns = max([end for _, end in tried.holds] + [max(at, chunk.end_ns) for at, chunk in chunks])
    now_ns = rests_ns = 0
    while now_ns <= max(last_ns, rests_ns) + 100 * _MS and now_ns < _LONGEST_NS:
        while chunks and chunks[0][0] <= now_ns:
            _submit(executor, chunks.pop(0)[1], now_ns)
        while speeds and speeds[0][0] <= now_ns:
            executor.set_speed(speeds.pop(0)[1], now_ns)
        held = any(begin <= now_ns < end for begin, end in tried.holds)
        output = executor.stop(now_ns) if held else executor.tick(now_ns)
        assert output is not None
        took_ns = int(random.integers(0, 60)) * _MS if random.random() < _LATE else 200_000
        sent_ns = now_ns + took_ns
        if output.smoothed.changed and executor.in_time(output, sent_ns):
            commands.receive(output.smoothed.plan, sent_ns + int(random.integers(0, 8)) * _MS)
            rests_ns = output.smoothed.plan.end_ns
        now_ns += period_ns * (1 + took_ns // period_ns)
    return commands, now_ns


def _submit(executor: Executor, chunk: Any, now_ns: int) -> None:
    try:
        executor.submit(chunk, now_ns)
    except ChunkError:
        return  # a refused chunk is one answer to it


@dataclasses.dataclass
class Found:
    """What was found in all sequences."""

    quality: CommandQuality = dataclasses.field(default_factory=CommandQuality)
    beyond: float = 0.0
    not_at_rest: int = 0
    moved: int = 0
    refused: int = 0
    bad: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    kinds: Counter[str] = dataclasses.field(default_factory=Counter)


def judge(
    limits: JointLimits, number: int, tried: Case, commands: ControllerCommands, end_ns: int, found: Found
) -> None:
    """Measures what a sequence made the controller command."""
    positions = commands.positions(end_ns)
    meter = CommandMeter(limits, CYCLE_NS * 1e-9)
    meter.add(positions)
    resting = bool(np.ptp(positions[-_REST_NS // CYCLE_NS :], axis=0).max() == 0.0)
    beyond = np.maximum(positions - limits.position_max, limits.position_min - positions).max()
    found.quality = found.quality.merged(meter.quality)
    found.beyond = max(found.beyond, float(beyond))
    found.not_at_rest += not resting
    found.moved += bool(np.ptp(positions, axis=0).max() > _MOVED)
    found.refused += commands.refused
    found.kinds[tried.kind] += 1
    if meter.quality.violations or not resting or commands.refused:
        row = {"number": number, "kind": tried.kind, "timing": tried.timing, "rests": resting}
        found.bad.append(row | {"refused": commands.refused} | dataclasses.asdict(meter.quality))


@app.command()
def main(
    sequences: Annotated[int, typer.Option(min=1, help="How many sequences of chunks.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the sequences.")] = 0,
    first: Annotated[int, typer.Option(help="Number of the first sequence: to look at one again.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    """Adversarial chunks against every limit: violations and sequences that do not end at rest (none of either)."""
    from vla.paths import checkout

    embodiment = load_embodiment(checkout() / "config" / "embodiments" / "fr3.yaml")
    limits = JointLimits.of(embodiment)
    found = Found()
    began = time.process_time()
    for number in range(first, first + sequences):
        tried = case(limits, embodiment.action_names, seed, number)
        judge(limits, number, tried, *execute(embodiment, tried), found)
    quality = found.quality
    publish(
        {
            "sequences": sequences,
            "seed": seed,
            "violations": quality.violations,
            "not_at_rest": found.not_at_rest,
            "moved": found.moved,
            "refused_by_controller": found.refused,
            "position_violations": quality.position,
            "velocity_violations": quality.velocity,
            "acceleration_violations": quality.acceleration,
            "jerk_violations": quality.jerk,
            "position_beyond": found.beyond,
            "velocity_use": quality.velocity_use,
            "acceleration_use": quality.acceleration_use,
            "jerk_use": quality.jerk_use,
            "cycles": quality.samples,
            "bad": found.bad[:20],
            "kinds": dict(found.kinds),
            "cpu_s": time.process_time() - began,
            "machine": machine(),
        },
        json_file,
    )
    if quality.violations or found.not_at_rest or found.refused:
        raise typer.Exit(1)
