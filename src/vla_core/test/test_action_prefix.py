"""What of an executed chunk is meant at the steps of the next one."""

from __future__ import annotations

import numpy as np
import pytest

from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.errors import ChunkError

STEP_NS = 33_333_333
NOW_NS = 1_790_000_000_000_000_000  # a time at which 64-bit floats are 256 ns apart


def chunk(length: int = 10) -> ActionChunk:
    actions = np.stack([np.arange(length, dtype=float), np.arange(length) ** 2.0], axis=-1)
    return ActionChunk(actions, ("a", "b"), NOW_NS, STEP_NS, NOW_NS)


def test_at_the_same_steps_the_rest_of_the_chunk() -> None:
    left = ActionPrefix(chunk(), 3, 4).resampled(NOW_NS + 4 * STEP_NS, STEP_NS, 10)
    np.testing.assert_array_equal(left, chunk().actions[4:])
    np.testing.assert_array_equal(ActionPrefix(chunk(), 1, 4).resampled(NOW_NS, STEP_NS, 3), chunk().actions[:3])


def test_between_the_steps_along_a_line_and_at_another_rate() -> None:
    left = ActionPrefix(chunk(), 1, 4).resampled(NOW_NS + STEP_NS // 3, STEP_NS // 3, 4)
    np.testing.assert_allclose(left[:, 0], [1 / 3, 2 / 3, 1.0, 4 / 3], atol=1e-7)
    np.testing.assert_allclose(left[:, 1], [1 / 3, 2 / 3, 1.0, 2.0], atol=1e-7)


@pytest.mark.parametrize(
    ("delay", "start_ns", "message"),
    [
        (3, NOW_NS - STEP_NS, "expected actions from the observation on, found them to begin 33.3 ms later"),
        (
            3,
            NOW_NS + 8 * STEP_NS,
            "expected at most the 2 steps that the executed chunk still has, and fewer than the 10",
        ),
        (10, NOW_NS, "fewer than the 10 of a chunk, found 10"),
    ],
)
def test_a_chunk_that_does_not_reach_far_enough_is_refused(delay, start_ns, message) -> None:
    with pytest.raises(ChunkError, match=message):
        ActionPrefix(chunk(), delay, 2).resampled(start_ns, STEP_NS, 10)


def test_after_its_end_nothing_is_left() -> None:
    assert ActionPrefix(chunk(), 0, 2).resampled(NOW_NS + 10 * STEP_NS, STEP_NS, 10).shape == (0, 2)


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ChunkError, match="expected a delay and an execution_horizon of at least 0, found -1 and 2"):
        ActionPrefix(chunk(), -1, 2)
