"""How the streams arrived in recorded episodes: rates against what is declared, and ages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeReader
from vla_core.errors import EmbodimentMismatch


@dataclass
class _Arrivals:
    """One stream over all episodes: messages, and the age of its value at every step [ns]."""

    messages: int = 0
    counted: bool = True
    ages_ns: list[NDArray[np.int64]] = field(default_factory=list)


def stream_figures(episodes: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Measures every camera and stream over recorded episodes of one embodiment; end steps do not count.

    Returns:
        By camera role or stream name: ``topic``; ``declared_hz`` (0: none is declared); ``rate_hz``, messages per second of
        recorded time (None where nobody counted them); ``age_ms`` with ``median`` and ``max``, stamp of a step minus source
        stamp; and the ``tolerance_ms`` beyond which a step is dropped.

    Raises:
        EpisodeError: a file cannot be read.
        EmbodimentMismatch: the episodes are of different embodiments.
    """
    embodiment: Embodiment | None = None
    arrivals: dict[str, _Arrivals] = {}
    recorded_s = 0.0
    for path in episodes:
        with EpisodeReader(path) as episode:
            found = episode.info.metadata.embodiment
            if embodiment is not None and found != embodiment:
                raise EmbodimentMismatch(f"{path}: expected embodiment '{embodiment.name}', found '{found.name}'")
            embodiment = found
            recorded_s += _add(episode, arrivals)
    if embodiment is None:
        return {}
    return {name: _figures(embodiment, name, found, recorded_s) for name, found in arrivals.items()}


def _add(episode: EpisodeReader, arrivals: dict[str, _Arrivals]) -> float:
    """Adds an episode; returns how much time its steps stand for [s]."""
    embodiment = episode.info.metadata.embodiment
    steps = episode.markers == 0
    stamps_ns = episode.stamps_ns[steps]
    for name in (*embodiment.cameras, *embodiment.streams):
        stream = arrivals.setdefault(name, _Arrivals())
        summary = episode.info.summary.streams.get(name)
        stream.counted = stream.counted and summary is not None
        stream.messages += summary.received if summary else 0
        stream.ages_ns.append(episode.stream_ages_ns(name)[steps])
    return float(stamps_ns[-1] - stamps_ns[0] + embodiment.step_ns) * 1e-9


def _figures(embodiment: Embodiment, name: str, found: _Arrivals, recorded_s: float) -> dict[str, Any]:
    declared = embodiment.cameras[name] if name in embodiment.cameras else embodiment.streams[name]
    ages_ms = np.concatenate(found.ages_ns) * 1e-6
    return {
        "topic": declared.topic,
        "declared_hz": float(declared.rate_hz),
        "rate_hz": found.messages / recorded_s if found.counted else None,
        "age_ms": {"median": float(np.median(ages_ms)), "max": float(ages_ms.max())},
        "tolerance_ms": float(declared.align.tolerance_ms),
    }
