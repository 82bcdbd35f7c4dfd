"""Chunks as messages: whole, in the units that the robot has, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from vla_core.action_chunk import ActionChunk
from vla_core.errors import ChunkError
from vla_ros.codecs.chunks import chunk_from, chunk_message

pytestmark = pytest.mark.ros
CHUNK = ActionChunk(np.arange(6.0).reshape(3, 2), ("linear_x", "angular_z"), 5, 7, 3, "policy", 11, 13)
UNITS = ("m/s", "rad/s")


def test_a_chunk_comes_out_as_it_went_in() -> None:
    found = chunk_from(chunk_message(CHUNK, UNITS), UNITS)
    np.testing.assert_array_equal(found.actions, CHUNK.actions)
    assert (found.names, found.start_ns, found.step_ns, found.observation_ns) == (CHUNK.names, 5, 7, 3)
    assert (found.policy_id, found.sequence, found.inference_latency_ns) == ("policy", 11, 13)


def test_other_units_are_refused_and_none_are_taken_for_granted() -> None:
    message = chunk_message(CHUNK, ("m/s", "m"))
    with pytest.raises(ChunkError, match=r"chunk 11: expected the units \['m/s', 'rad/s'\], found \['m/s', 'm'\]"):
        chunk_from(message, UNITS)
    assert chunk_from(message).names == CHUNK.names
    assert chunk_from(chunk_message(CHUNK, ()), UNITS).names == CHUNK.names


def test_values_that_are_lacking_are_counted() -> None:
    message = chunk_message(CHUNK, UNITS)
    message.values.pop()
    with pytest.raises(ChunkError, match="chunk 11: expected 3 x 2 = 6 values, found 5"):
        chunk_from(message, UNITS)
