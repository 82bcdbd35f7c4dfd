"""Chunk latency of every family with random weights, next to the roofline of the device that it runs on.

A network is built as its policy runs it: batch 1, the prefix once per chunk, all sampling steps, the precision of the family's
reference. Images have the size that the network sees. The roofline is the longer of two times: that to read the weights, as
often as the chunk needs them, and that to compute its matrix products, convolutions and attention, at the speeds of the
device that are measured in the same run. Activations, the cache of keys and values, and all other arithmetic are left
out, so no implementation is faster. (Weights that fit into a cache are read faster than from memory: a small network can be.)
Where chunks can be guided to go on from the one that is executed (real-time chunking), guided ones are measured in turns with
others; ``guided_ratio`` is that of the policy whose backbone dominates, as in published ones. On the device ``meta`` nothing
is measured and only what does not depend on a device is counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from bench.support.chunk_latency import measure_latency
from bench.support.device import Roofline, describe, free_bytes, measure_roofline
from bench.support.figures import machine, publish
from bench.support.operations import Work, count_work
from bench.support.policy_cases import GPU_PRECISION, PolicyCase, Precision, full_cases, small_cases
from vla.outputs import write_json
from vla_core.errors import VlaError, choice
from vla_policies.families import FAMILIES

app = typer.Typer()

_BEYOND_WEIGHTS = 1 << 30  # bytes that inference needs besides
_MS, _MB, _GB, _GIGA = 1e3, 1e6, 1e9, 1e9

Row = dict[str, Any]


class Device(str, Enum):
    cpu = "cpu"
    cuda = "cuda"
    meta = "meta"


class Size(str, Enum):
    small = "small"
    full = "full"


class BenchError(VlaError):
    """What was asked for cannot be measured here."""


COLUMNS: Mapping[str, tuple[str, float, int]] = {
    "parameters": ("parameters [M]", 1e6, 2),
    "weight_bytes": ("weights [MB]", _MB, 1),
    "read_bytes": ("read per chunk [MB]", _MB, 1),
    "flops": ("GFLOP per chunk", _GIGA, 2),
    "p50_s": ("p50 [ms]", 1 / _MS, 2),
    "p95_s": ("p95 [ms]", 1 / _MS, 2),
    "p99_s": ("p99 [ms]", 1 / _MS, 2),
    "guided_p50_s": ("guided p50 [ms]", 1 / _MS, 2),
    "guided_ratio": ("guided / not", 1.0, 2),
    "roofline_s": ("roofline [ms]", 1 / _MS, 2),
    "ratio": ("p50 / roofline", 1.0, 1),
    "peak_bytes": ("peak memory [MB]", _MB, 0),
}
"""Figures of a policy: their titles, what one is divided by for the table, and digits behind the point."""


def table(rows: Sequence[Row], markdown: bool) -> str:
    """One line for each policy. Columns that no row has are left out."""
    columns = [name for name in COLUMNS if any(name in row for row in rows)]
    cells = [["policy", *(COLUMNS[name][0] for name in columns)]]
    for row in rows:
        cells.append([row["policy"], *(_cell(row, name) for name in columns)])
    if markdown:
        rule = ["---", *["---:"] * len(columns)]
        return "\n".join(f"| {' | '.join(line)} |" for line in (cells[0], rule, *cells[1:]))
    widths = [max(len(line[index]) for line in cells) for index in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in cells
    )


def _cell(row: Row, column: str) -> str:
    if column not in row:
        return ""
    _, unit, digits = COLUMNS[column]
    return f"{row[column] / unit:.{digits}f}"


def chosen(cases: Sequence[PolicyCase], families: Sequence[str]) -> list[PolicyCase]:
    """Those of the families; all of them if none is named."""
    for family in families:
        if family not in FAMILIES:
            raise BenchError(f"--family: expected {choice(FAMILIES)}, found '{family}'")
    return [case for case in cases if not families or case.family in families]


def require_memory(works: Mapping[str, Work], free: int, where: str) -> None:
    """Refuses, before anything is built, what does not fit.

    Args:
        works: by the policy's name.
        free: bytes that can be had.
        where: the device.
    """
    needed = {name: work.weight_bytes + _BEYOND_WEIGHTS for name, work in works.items()}
    large = {name: size for name, size in needed.items() if size > free}
    if large:
        lines = [f"{name}: expected {size} bytes ({size / _GB:.1f} GB)" for name, size in large.items()]
        lines.append(
            f"found {free} bytes ({free / _GB:.1f} GB) of free memory on {where}; --family picks others, --size small"
        )
        raise BenchError("\n".join(lines))


def measured(case: PolicyCase, precision: Precision, work: Work, device: str, roofline: Roofline, rounds: int) -> Row:
    latency = measure_latency(case, precision, device, rounds)
    least = roofline.seconds(work.read_bytes, work.flops)
    percentiles: Row = {"p50_s": latency.p50, "p95_s": latency.p95, "p99_s": latency.p99}
    if latency.guided_ratio is not None:
        percentiles |= {"guided_p50_s": latency.guided_p50, "guided_ratio": latency.guided_ratio}
    ratio = {"roofline_s": least, "ratio": latency.p50 / least}
    return {**_counted(case, precision, work), **percentiles, **ratio, "peak_bytes": latency.peak_bytes}


def _counted(case: PolicyCase, precision: Precision, work: Work) -> Row:
    return {"policy": case.name, "family": case.family, "precision": precision, **dataclasses.asdict(work)}


def _require_device(device: Device) -> torch.device:
    if device is Device.cuda and not torch.cuda.is_available():
        raise BenchError("--device cuda: expected a GPU that this torch can use, found none")
    return torch.device(device.value)


@app.command()
def main(
    device: Annotated[Device, typer.Option(help="Where; meta: only count, nothing is measured.")] = Device.cpu,
    size: Annotated[
        Size | None, typer.Option(help="Published sizes or small presets; default: small on a processor, else full.")
    ] = None,
    family: Annotated[list[str] | None, typer.Option(help="Only this family; may be given several times.")] = None,
    rounds: Annotated[int, typer.Option(min=5, help="Chunks of each policy.")] = 100,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
) -> None:
    """Chunk latency, memory and operations of every policy family, next to the roofline of the device."""
    where = _require_device(device)
    size = size or (Size.small if device is Device.cpu else Size.full)
    cases = chosen(small_cases() if size is Size.small else full_cases(), family or ())
    precisions: dict[str, Precision] = {
        case.name: "float32" if device is Device.cpu else GPU_PRECISION[case.family] for case in cases
    }
    works = {case.name: count_work(case, precisions[case.name]) for case in cases}
    figures: dict[str, Any] = {"size": size.value, "machine": machine()}
    if device is Device.meta:
        rows = [_counted(case, precisions[case.name], works[case.name]) for case in cases]
    else:
        require_memory(works, free_bytes(where), str(where))
        used = sorted(set(precisions.values()))
        rooflines = {name: measure_roofline(where, getattr(torch, name)) for name in used}
        figures |= {**describe(where), "rounds": rounds}
        figures |= {f"roofline_{name}": dataclasses.asdict(rooflines[name]) for name in used}
        rows = [
            measured(case, name, works[case.name], str(where), rooflines[name], rounds)
            for case in cases
            for name in [precisions[case.name]]
        ]
        ratios = [row["guided_ratio"] for row, case in zip(rows, cases, strict=True) if case.backbone_dominates]
        figures |= {"guided_ratio": max(ratios)} if ratios else {}
    publish(figures, None)
    print(f"\n{table(rows, markdown)}")
    if json_file is not None:
        write_json(json_file, {**figures, "policies": rows})
