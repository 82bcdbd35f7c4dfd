"""What command_node did over a recorded episode, as spans of time."""

from __future__ import annotations

from dataclasses import dataclass

from vla_core.episodes import EpisodeReader


@dataclass(frozen=True)
class Span:
    """A state from a time to another [s] since the first step; ``message`` is what command_node said about it."""

    begin_s: float
    end_s: float
    state: str
    intervention: bool
    message: str


def spans_of(episode: EpisodeReader) -> tuple[Span, ...]:
    """The states of an episode from its first step to its last, in order; empty where nobody told of any."""
    stamps_ns = episode.stamps_ns
    first, last = int(stamps_ns[0]), int(stamps_ns[-1])
    states = episode.states
    ends = [*(state.stamp_ns for state in states[1:]), last][: len(states)]
    return tuple(
        Span(
            (max(first, state.stamp_ns) - first) * 1e-9,
            (min(last, end_ns) - first) * 1e-9,
            state.state,
            state.intervention,
            state.message,
        )
        for state, end_ns in zip(states, ends, strict=True)
        if min(last, end_ns) > max(first, state.stamp_ns)
    )
