"""Recorded episodes, traces and figures of a made-up run, for the tests of what is reported about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vla.paths import named_config
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.episodes import Beside, EpisodeMetadata, Hdf5EpisodeWriter, RecordingSummary, StreamSummary
from vla_core.episodes.synthetic import synthetic_step

MakeEpisode = Callable[..., Path]
MakeTrace = Callable[..., Path]


@pytest.fixture(scope="session")
def embodiment() -> Embodiment:
    return load_embodiment(named_config("embodiments", "fr3_sim"))


@pytest.fixture
def make_episode(tmp_path: Path, embodiment: Embodiment) -> MakeEpisode:
    """Writes an episode of so many synthetic steps."""

    def make(
        steps: int = 12,
        outcome: str = "success",
        robot: Embodiment = embodiment,
        received: dict[str, int] | None = None,
        beside: Sequence[Beside] = (),
    ) -> Path:
        writer = Hdf5EpisodeWriter(
            tmp_path / "episodes", EpisodeMetadata("put it there", "sim", robot, "pick_place", 5)
        )
        for index in range(steps):
            writer.append(synthetic_step(robot, index))
        for record in beside:
            writer.beside(record)
        counted = {name: StreamSummary(count, 0.0) for name, count in (received or {}).items()}
        return writer.finish(outcome, RecordingSummary(0, counted))

    return make


@pytest.fixture
def make_trace(tmp_path: Path, embodiment: Embodiment) -> MakeTrace:
    """Writes what a simulator keeps of a world: each joint swings by an amplitude [rad] at 1 Hz for two seconds."""

    def make(amplitudes: np.ndarray, names: tuple[str, ...] = embodiment.joint_names, number: int = 1) -> Path:
        times_ns = np.arange(2000) * 1_000_000
        home = np.array([0.0, -0.2328, 0.0, -2.4594, 0.0, 2.2259, 0.7854])[: len(names)]
        command = home + amplitudes * np.sin(2 * np.pi * 1e-9 * times_ns)[:, None]
        path = tmp_path / f"world_{number:04d}_seed_{number}.npz"
        np.savez(path, joint_names=np.array(names), time_ns=times_ns, command=command, position=command)
        return path

    return make


@pytest.fixture
def with_end_steps(embodiment: Embodiment) -> Embodiment:
    return dataclasses.replace(embodiment, steps=dataclasses.replace(embodiment.steps, end_steps=5))


@pytest.fixture
def figures() -> dict[str, Any]:
    """Figures of an evaluation of three episodes, one of them failed."""
    return {
        "episodes": 3,
        "successes": 2,
        "success_rate": 2 / 3,
        "wilson_low": 0.2077,
        "wilson_high": 0.9385,
        "limit_violations": {"position": 0, "velocity": 0, "acceleration": 0, "jerk": 0},
        "limit_use": {"velocity": 0.31, "acceleration": 0.87, "jerk": 0.28},
        "rms_jerk": 123.4,
        "commanded_cycles": 15000,
        "policy_latency_ms": {"p50": 21.25, "p95": 28.75, "p99": 33.5},
        "command_rate_hz": 99.4,
        "stale_observations": 0,
        "chunks": 60,
        "chunks_refused": 0,
        "mean_duration_s": 7.0,
        "seconds": 42.0,
        "per_episode": [
            {"seed": 100, "success": True, "duration_s": 4.5, "message": ""},
            {"seed": 101, "success": False, "duration_s": 12.0, "message": "starved <of> chunks"},
            {"seed": 102, "success": True, "duration_s": 4.5, "message": ""},
        ],
    }
