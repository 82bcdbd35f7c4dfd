"""Whether a chunk may be executed now: not late, not from the future, and not far from where the arm is."""

from __future__ import annotations

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.embodiment import Embodiment
from vla_core.motion.polynomial import Array

_MS = 1_000_000
_FUTURE_NS = 50 * _MS  # clocks of two machines may differ by this much


def untimely(chunk: ActionChunk, embodiment: Embodiment, now_ns: int) -> str:
    """Why the observation of a chunk is too old, or not yet made; empty if it is neither."""
    age_ns = now_ns - chunk.observation_ns
    allowed_ns = round(embodiment.safety.max_observation_age_ms * _MS) + chunk.inference_latency_ns
    if age_ns > allowed_ns:
        return (
            f"chunk {chunk.sequence}: its observation is {age_ns / _MS:.0f} ms old, "
            f"expected at most {allowed_ns / _MS:.0f} ms"
        )
    if age_ns < -_FUTURE_NS:
        return (
            f"chunk {chunk.sequence}: its observation lies {-age_ns / _MS:.0f} ms in the future; "
            "expected clocks that agree"
        )
    return ""


def overtaken(chunk: ActionChunk, newest_ns: int | None) -> str:
    """Why a chunk is not the newest: one from this observation or a later one (its stamp) was taken. Empty if it is."""
    if newest_ns is None or chunk.observation_ns > newest_ns:
        return ""
    return (
        f"chunk {chunk.sequence}: its observation is {(newest_ns - chunk.observation_ns) / _MS:.0f} ms older than that of the "
        "last one, expected chunks once each and in order"
    )


def distant(chunk: ActionChunk, embodiment: Embodiment, here: Array, now_ns: int) -> str:
    """Why the arm may not begin to follow a chunk from where it is (n,): it starts too far away. Empty if it may."""
    first = chunk.actions[np.searchsorted(chunk.times_ns(), now_ns).clip(0, len(chunk.actions) - 1)]
    distance = np.abs(first[: len(here)] - here)
    joint, limit = int(np.argmax(distance)), embodiment.safety.max_start_distance
    if distance[joint] <= limit:
        return ""
    name = chunk.names[joint]
    return f"chunk {chunk.sequence}: starts {distance[joint]:.2f} from the arm in {name}, expected at most {limit}"
