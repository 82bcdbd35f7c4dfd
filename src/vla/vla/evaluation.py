"""What came of a policy in closed loop: its episodes, and the figures that they make."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from vla.statistics import wilson_interval
from vla_core.motion.measure import CommandQuality


@dataclass(frozen=True)
class EpisodeResult:
    """One episode.

    Attributes:
        seed: of the world.
        success: the task's test, at the end.
        duration_s: simulated time until success, or the limit.
        message: why the command node stopped, if it did.
        chunks: action chunks published.
        chunks_refused: chunks that the command node refused.
        chunks_discarded: chunks that took longer than they were conditioned on, at either node.
        chunks_late: chunks that came when nothing was meant any more.
        ticks_starved: control ticks without an action while the policy ran.
        command_rate_hz: control ticks per second that decided what is commanded, at the end of the run [Hz].
        stale_observations: inferences refused because a stream was too old or missing.
        quality: what the controller was commanded, at 1 kHz.
    """

    seed: int
    success: bool
    duration_s: float
    message: str
    chunks: int
    chunks_refused: int
    chunks_discarded: int
    chunks_late: int
    ticks_starved: int
    command_rate_hz: float
    stale_observations: int
    quality: CommandQuality


@dataclass(frozen=True)
class Latency:
    """Inference latency, measured in real time [ms]."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Evaluation:
    """Episodes of one policy, and how they went."""

    episodes: tuple[EpisodeResult, ...]
    latency_ms: Latency
    seconds: float

    @property
    def successes(self) -> int:
        return sum(episode.success for episode in self.episodes)

    @property
    def quality(self) -> CommandQuality:
        merged = CommandQuality()
        for episode in self.episodes:
            merged = merged.merged(episode.quality)
        return merged

    def to_json(self) -> dict[str, Any]:
        """The figures, as ``--json`` writes them."""
        count = len(self.episodes)
        low, high = wilson_interval(self.successes, count)
        quality, running_s = self.quality, sum(episode.duration_s for episode in self.episodes)
        return {
            "episodes": count,
            "successes": self.successes,
            "success_rate": self.successes / count if count else 0.0,
            "wilson_low": low,
            "wilson_high": high,
            "limit_violations": {
                kind: getattr(quality, kind) for kind in ("position", "velocity", "acceleration", "jerk")
            },
            "limit_use": {kind: getattr(quality, f"{kind}_use") for kind in ("velocity", "acceleration", "jerk")},
            "rms_jerk": quality.rms_jerk,
            "commanded_cycles": quality.samples,
            "policy_latency_ms": dataclasses.asdict(self.latency_ms),
            "command_rate_hz": sum(e.command_rate_hz for e in self.episodes) / count if count else 0.0,
            "stale_observations": sum(e.stale_observations for e in self.episodes),
            "chunks": sum(e.chunks for e in self.episodes),
            "chunks_refused": sum(e.chunks_refused for e in self.episodes),
            "chunks_discarded": sum(e.chunks_discarded for e in self.episodes),
            "chunks_late": sum(e.chunks_late for e in self.episodes),
            "ticks_starved": sum(e.ticks_starved for e in self.episodes),
            "mean_duration_s": running_s / count if count else 0.0,
            "seconds": self.seconds,
            "per_episode": [
                {"seed": e.seed, "success": e.success, "duration_s": e.duration_s, "message": e.message}
                for e in self.episodes
            ],
        }
