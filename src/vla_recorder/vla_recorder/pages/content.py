"""Everything but the images that the page of an episode shows, as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeReader
from vla_core.episodes.layout import unreferenced_streams
from vla_core.episodes.verdict import Verdict, verdict_of

Plain = dict[str, Any]

_DIGITS = 5
_GAP_PERIODS = 1.5
_MOST_SERIES = 3  # more have a plot as wide as the page, for their names
_GROUP_TITLES = {"qvel": "Velocity", "effort": "Effort"}


def content_of(episode: EpisodeReader) -> Plain:
    """Times, prompts, events, plots and streams of an episode."""
    stamps = episode.stamps_ns
    prompts = episode.prompts
    texts = list(dict.fromkeys(prompts))
    return {
        "time": _numbers((stamps - stamps[0]) * 1e-9, 4),
        "prompts": texts,
        "promptIndex": [texts.index(prompt) for prompt in prompts],
        "endSteps": int(np.count_nonzero(episode.markers)),
        "gaps": _gaps(episode),
        "drives": _runs(episode.policy_drives),
        "marked": {name: rows for name, rows in _marked(episode)},
        "sections": [section for section in _sections(episode) if section["plots"]],
    }


def verdict_on(episode: EpisodeReader) -> Verdict:
    """What the recorder said, or would have said, when the episode ended."""
    info, real = episode.info, episode.markers == 0
    names = info.metadata.embodiment.sources
    ages = {name: episode.stream_ages_ns(name)[real] for name in names}
    return verdict_of(info.metadata.embodiment, info.summary, episode.stamps_ns[real], ages)


def stream_rows(episode: EpisodeReader) -> list[Plain]:
    """How each stream arrived, a row each."""
    info, real = episode.info, episode.markers == 0
    rows = []
    for name, source in info.metadata.embodiment.sources.items():
        ages_ms = episode.stream_ages_ns(name)[real] * 1e-6
        arrived = info.summary.streams.get(name)
        rows.append(
            {
                "name": name,
                "topic": source.topic,
                "method": source.align.method.replace("_", " "),
                "expected_hz": source.rate_hz,
                "arrived": arrived,
                "median_ms": float(np.median(ages_ms)),
                "largest_ms": float(ages_ms.max()),
            }
        )
    return rows


def _sections(episode: EpisodeReader) -> Iterator[Plain]:
    embodiment = episode.info.metadata.embodiment
    yield {"title": "Measured and commanded", "plots": list(_pairs(episode, embodiment))}
    for group, references in embodiment.proprioception.items():
        if group == "qpos":
            continue
        values, names, units = (
            episode.proprioception(group),
            embodiment.names_of(references),
            embodiment.units_of(references),
        )
        yield {"title": _GROUP_TITLES.get(group, group), "plots": list(_by_unit(values, names, units))}
    for name in unreferenced_streams(embodiment):
        references = tuple(f"{name}.{field}" for field in embodiment.streams[name].fields)
        names, units = embodiment.names_of(references), embodiment.units_of(references)
        yield {"title": f"Stream {name}", "plots": list(_by_unit(episode.stream_values(name), names, units))}
    yield {"title": "How old each value was at its step", "plots": [_ages(episode, embodiment)]}
    if episode.rollout is not None:
        yield {"title": "Policy", "plots": list(_latency(episode))}


def _pairs(episode: EpisodeReader, embodiment: Embodiment) -> Iterator[Plain]:
    """A plot for each dimension of qpos and action; those of one joint together."""
    references = embodiment.proprioception["qpos"]
    measured = dict(zip(embodiment.names_of(references), episode.qpos.T, strict=True))
    units = dict(zip(embodiment.names_of(references), embodiment.units_of(references), strict=True))
    state = _gripper_state(embodiment)
    for name, unit, values in zip(embodiment.action_names, embodiment.action_units, episode.actions.T, strict=True):
        seen = state.get(name, name)
        series = [_series("measured", measured.pop(seen), "measured")] if seen in measured else []
        yield {"title": name, "unit": unit, "series": [*series, _series("action", values, "commanded")]}
    for name, values in measured.items():
        yield {"title": name, "unit": units[name], "series": [_series("measured", values, "measured")]}


def _gripper_state(embodiment: Embodiment) -> Mapping[str, str]:
    """Name of the gripper's action to the name of what measures it."""
    gripper = embodiment.gripper
    if gripper is None:
        return {}
    return {gripper.action: embodiment.names_of((gripper.state,))[0]}


def _by_unit(values: NDArray[np.float64], names: tuple[str, ...], units: tuple[str, ...]) -> Iterator[Plain]:
    """A plot for all elements of one unit."""
    for unit in dict.fromkeys(units):
        series = [_series(name, values[:, k]) for k, name in enumerate(names) if units[k] == unit]
        yield {"title": "", "unit": unit, "series": series, "wide": len(series) > _MOST_SERIES}


def _ages(episode: EpisodeReader, embodiment: Embodiment) -> Plain:
    series = [_series(name, episode.stream_ages_ns(name) * 1e-6) for name in embodiment.sources]
    return {"title": "", "unit": "ms", "series": series, "wide": True}


def _latency(episode: EpisodeReader) -> Iterator[Plain]:
    """How long inference took, at the times of the chunks' observations."""
    rollout = episode.rollout
    if rollout is None or not len(rollout.observation_ns):
        return
    start = int(episode.stamps_ns[0])
    times = (rollout.observation_ns - start) * 1e-9
    series = _series("inference latency", rollout.latency_ns * 1e-6)
    yield {"title": "", "unit": "ms", "series": [series | {"time": _numbers(times, 4)}], "wide": True}


def _gaps(episode: EpisodeReader) -> list[list[float]]:
    """Steps before which more than one and a half periods are missing, and how much time is [s]."""
    between = np.diff(episode.stamps_ns)
    period = episode.info.metadata.embodiment.step_ns
    return [[int(k) + 1, round(float(between[k]) * 1e-9, 4)] for k in np.flatnonzero(between > _GAP_PERIODS * period)]


def _runs(flags: NDArray[np.bool_]) -> list[list[int]]:
    """First and last step of each run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [[int(first), int(after) - 1] for first, after in edges.reshape(-1, 2)]


def _marked(episode: EpisodeReader) -> Iterator[tuple[str, list[int]]]:
    """Streams with steps whose value is too old, and those steps."""
    for name in episode.info.metadata.embodiment.sources:
        rows = np.flatnonzero(~episode.valid(name).astype(bool))
        if len(rows):
            yield name, rows.tolist()


def _series(name: str, values: NDArray[np.floating[Any]], role: str = "") -> Plain:
    return {"name": name, "role": role, "values": _numbers(values)}


def _numbers(values: NDArray[np.floating[Any]], decimals: int | None = None) -> list[float | None]:
    """Numbers for JSON, no longer than a plot needs; what is none becomes null."""
    plain = [float(value) for value in np.asarray(values, dtype=np.float64)]
    if decimals is not None:
        return [round(value, decimals) for value in plain]
    return [float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None for value in plain]
