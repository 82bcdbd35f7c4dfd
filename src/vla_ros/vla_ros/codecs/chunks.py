"""Action chunks to messages and back."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from vla_msgs.msg import ActionChunk as ActionChunkMessage

from vla_core.action_chunk import ActionChunk, Stations
from vla_core.errors import ChunkError
from vla_ros.time import to_duration, to_ns, to_time


def chunk_message(chunk: ActionChunk, units: Sequence[str]) -> ActionChunkMessage:
    message = ActionChunkMessage(
        first_action_time=to_time(chunk.start_ns),
        step_duration=to_duration(chunk.step_ns),
        names=list(chunk.names),
        units=list(units),
        horizon=len(chunk.actions),
        values=array("d", np.ascontiguousarray(chunk.actions, dtype=np.float64).tobytes()),
        policy_id=chunk.policy_id,
        sequence=chunk.sequence,
        inference_latency=to_duration(chunk.inference_latency_ns),
        observation_received=to_time(chunk.stations.observation_received_ns),
        inference_started=to_time(chunk.stations.inference_started_ns),
        inference_finished=to_time(chunk.stations.inference_finished_ns),
        published=to_time(chunk.stations.published_ns),
    )
    message.header.stamp = to_time(chunk.observation_ns)
    return message


def chunk_from(message: ActionChunkMessage, units: Sequence[str] = ()) -> ActionChunk:
    """The chunk of a message; whether it can be executed is for :func:`vla_core.action_chunk.validate_chunk` to say.

    Args:
        message: whose units may be left out.
        units: that its actions must have; none: any.

    Raises:
        ChunkError: the number of values is not horizon times the number of names, or the units are others.
    """
    expected = message.horizon * len(message.names)
    if len(message.values) != expected:
        raise ChunkError(
            f"chunk {message.sequence}: expected {message.horizon} x {len(message.names)} = {expected} values, "
            f"found {len(message.values)}"
        )
    if units and message.units and list(message.units) != list(units) and len(message.names) == len(units):
        raise ChunkError(f"chunk {message.sequence}: expected the units {list(units)}, found {list(message.units)}")
    return ActionChunk(
        actions=np.array(message.values, dtype=np.float64).reshape(message.horizon, len(message.names)),
        names=tuple(message.names),
        start_ns=to_ns(message.first_action_time),
        step_ns=to_ns(message.step_duration),
        observation_ns=to_ns(message.header.stamp),
        policy_id=message.policy_id,
        sequence=message.sequence,
        inference_latency_ns=to_ns(message.inference_latency),
        stations=Stations(
            to_ns(message.observation_received),
            to_ns(message.inference_started),
            to_ns(message.inference_finished),
            to_ns(message.published),
        ),
    )
