"""Whether an episode's rows keep the rules of the format: times, end steps, ages, prompts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment.schema import Align
from vla_core.episodes import EpisodeReader

_MS = 1_000_000


def row_deviations(episode: EpisodeReader) -> Iterator[str]:
    """Every rule that the numbers of an episode break, with the first step at which it is broken."""
    embodiment = episode.info.metadata.embodiment
    yield from _times(episode)
    yield from _end_steps(episode)
    for name, source in embodiment.sources.items():
        yield from _ages(episode, name, source.align)
    for name, values in _vectors(episode):
        yield from _at_first(f"{name}: infinite value", np.asarray(np.isinf(values).any(axis=1)))
    for name in (*embodiment.streams,):
        if embodiment.streams[name].native:
            yield from _native(episode, name)


def _times(episode: EpisodeReader) -> Iterator[str]:
    stamps = episode.stamps_ns
    later = np.ones(len(stamps), dtype=bool)
    later[1:] = stamps[1:] > stamps[:-1]
    yield from _at_first("/vla/stamp_ns: not later than the step before", ~later)


def _end_steps(episode: EpisodeReader) -> Iterator[str]:
    markers, embodiment = episode.markers, episode.info.metadata.embodiment
    expected = embodiment.steps.end_steps
    count = int(np.count_nonzero(markers))
    yield from _at_first("/vla/marker: neither 0 nor 1", markers > 1)
    if count != expected and not (episode.info.recovered and count < expected):  # its recording did not come to its end
        yield f"/vla/marker: expected {expected} end steps, found {count}"
    if count and not markers[-count:].all():
        yield "/vla/marker: expected end steps only at the end"
    elif count and count < len(markers):
        between = np.diff(episode.stamps_ns[-count - 1 :])
        yield from _at_first("end steps: expected one step period between them", between != embodiment.step_ns)


def _ages(episode: EpisodeReader, name: str, align: Align) -> Iterator[str]:
    """Ages are what they say, and within the tolerance where a value counts."""
    ages, place = episode.stream_ages_ns(name), f"/vla/streams/{name}/age_ns"
    wrong = ages != episode.stamps_ns - episode.stream_stamps_ns(name)
    yield from _at_first(f"{place}: not the time of the step minus the source's stamp", wrong)
    counted = (episode.markers == 0) & np.asarray(episode.valid(name), dtype=bool)
    tolerance_ns = round(align.tolerance_ms * _MS)
    yield from _at_first(
        f"{place}: beyond the tolerance of {align.tolerance_ms:g} ms", counted & (np.abs(ages) > tolerance_ns)
    )
    if align.method == "latest_before":
        yield from _at_first(
            f"{place}: younger than the step, though the stream is 'latest_before'", counted & (ages < 0)
        )


def _native(episode: EpisodeReader, name: str) -> Iterator[str]:
    kept = episode.native(name)
    lengths = {len(kept.stamps_ns), len(kept.receive_ns), len(kept.values)}
    if len(lengths) > 1:
        yield f"/vla/native/{name}: expected one length, found {sorted(lengths)}"


def _vectors(episode: EpisodeReader) -> Iterator[tuple[str, NDArray[np.float64]]]:
    for group in episode.info.metadata.embodiment.proprioception:
        yield f"/observations/{group}", episode.proprioception(group)
    yield "/action", episode.actions


def _at_first(what: str, broken: NDArray[np.bool_]) -> Iterator[str]:
    """A line for a rule that is broken somewhere: where first, and how often."""
    steps = np.flatnonzero(broken)
    if len(steps):
        often = f" and {len(steps) - 1} others" if len(steps) > 1 else ""
        yield f"{what} at step {steps[0]}{often}"
