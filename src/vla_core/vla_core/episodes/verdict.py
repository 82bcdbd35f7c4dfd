"""What an episode is worth: how its streams arrived while it was recorded, and whether anything was wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vla_core.alignment import StreamStatus
from vla_core.embodiment.schema import Embodiment
from vla_core.episodes.metadata import RecordingSummary, StreamSummary

_SLOW_SHARE, _FAST_SHARE = 0.8, 1.5  # of the declared rate
_ODD_SHARE = 0.01  # more duplicated or late messages than this: two publishers, or a broken driver
_GAP_PERIODS = 2.5
_MOST_GAPS = 3  # named one by one


@dataclass(frozen=True)
class Verdict:
    """Whether an episode is as it should be, and if not, why: one line each."""

    good: bool
    lines: tuple[str, ...]


def stream_summary(
    before: StreamStatus | None,
    after: StreamStatus,
    stamp: Literal["header", "arrival"],
    missing_steps: int = 0,
    marked_steps: int = 0,
) -> StreamSummary:
    """How a stream arrived during an episode.

    Args:
        before: its status when the episode began; None if it was unknown.
        after: its status at the end. Its largest gap must have been measured since the episode began.
        stamp: ``header`` or ``arrival``.
        missing_steps: steps dropped for it.
        marked_steps: steps kept with an older sample of it.
    """
    first = before or StreamStatus(after.name, after.topic, 0.0, after.expected_rate_hz, float("nan"), 0)
    received = after.received - first.received
    jumps = after.clock_jumps - first.clock_jumps
    seconds = (after.newest_stamp_ns - first.newest_stamp_ns) * 1e-9
    measurable = first.received > 0 and jumps == 0
    rate_hz = (received / seconds if seconds > 0 else 0.0) if measurable else after.mean_rate_hz
    return StreamSummary(
        received=received,
        rate_hz=round(rate_hz, 3),
        gaps=max(0, after.gaps - first.gaps),
        largest_gap_s=round(after.largest_gap_s, 6),
        duplicates=after.duplicates - first.duplicates,
        out_of_order=after.out_of_order - first.out_of_order,
        clock_jumps=jumps,
        missing_steps=missing_steps,
        marked_steps=marked_steps,
        stamp=stamp,
    )


def verdict_of(
    embodiment: Embodiment,
    summary: RecordingSummary,
    stamps_ns: Sequence[int] | NDArray[np.int64],
    ages_ns: Mapping[str, Sequence[int] | NDArray[np.int64]],
    disk_dropped_steps: int = 0,
) -> Verdict:
    """Judges an episode by how its streams arrived and by the times of its steps.

    Args:
        embodiment: what was expected.
        summary: how the streams arrived.
        stamps_ns: of the steps (T,), end steps not included [ns].
        ages_ns: stream to the age of its value in each step (T,) [ns].
        disk_dropped_steps: steps that were lost because the disk was too slow.
    """
    stamps = np.asarray(stamps_ns, np.int64)
    lines = [] if len(stamps) else ["no step was recorded"]
    lines += _steps(stamps, embodiment.step_ns)
    if disk_dropped_steps:
        lines.append(f"{_times(disk_dropped_steps, 'step')} dropped: the disk was too slow")
    for name, found in summary.streams.items():
        taken_at = stamps - np.asarray(ages_ns[name], np.int64) if name in ages_ns else stamps[:0]
        lines += _stream(name, found, embodiment, taken_at)
    return Verdict(not lines, tuple(lines))


def _steps(stamps: NDArray[np.int64], step_ns: int) -> list[str]:
    """Where time goes back, and the longest gaps between steps."""
    between = np.diff(stamps)
    lines = [f"time goes back by {-between[k] * 1e-9:.1f} s at step {k + 1}" for k in np.flatnonzero(between <= 0)]
    gaps = np.flatnonzero(between > _GAP_PERIODS * step_ns)
    longest = sorted(gaps[np.argsort(-between[gaps], kind="stable")][:_MOST_GAPS])
    lines += [f"{_duration(between[k] * 1e-9)} gap at step {k + 1}" for k in longest]
    if len(gaps) > _MOST_GAPS:
        lines.append(f"{_times(len(gaps) - _MOST_GAPS, 'more gap')} between steps")
    return lines


def _stream(name: str, found: StreamSummary, embodiment: Embodiment, taken_at: NDArray[np.int64]) -> list[str]:
    source = embodiment.sources[name]
    if found.received == 0:
        return [f"{name} never came"] if source.rate_hz > 0 else []
    lines = []
    if source.rate_hz > 0 and not _SLOW_SHARE <= found.rate_hz / source.rate_hz <= _FAST_SHARE:
        lines.append(f"{name} came at {found.rate_hz:.3g} Hz, {source.rate_hz:g} expected")
    # a gap within the tolerance leaves every step a sample that counts
    if found.gaps and found.largest_gap_s * 1e3 > source.align.tolerance_ms:
        lines.append(f"{name}: {_duration(found.largest_gap_s)} gap{_place(taken_at, found.largest_gap_s)}")
    if found.missing_steps:
        lines.append(f"{name} was missing in {_times(found.missing_steps, 'step')}, dropped")
    if found.marked_steps:
        lines.append(f"{name} was too old in {_times(found.marked_steps, 'step')}, marked")
    if found.clock_jumps:
        lines.append(f"{name}: its clock jumped {_times(found.clock_jumps, 'time')}")
    for count, what in ((found.duplicates, "twice"), (found.out_of_order, "out of order")):
        if count > _ODD_SHARE * found.received:
            lines.append(f"{name}: {_times(count, 'message')} of {found.received} came {what}")
    return lines


def _place(taken_at: NDArray[np.int64], gap_s: float) -> str:
    """At which step the values of a stream jump by about its largest gap; empty if at none."""
    between = np.diff(taken_at)
    if not len(between) or between.max() * 1e-9 < 0.5 * gap_s:
        return ""
    return f" at step {int(between.argmax()) + 1}"


def _duration(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _times(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
