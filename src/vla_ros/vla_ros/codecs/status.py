"""Stream status to messages and back."""

from __future__ import annotations

from collections.abc import Iterable

from vla_msgs.msg import StreamStatus as StreamStatusMessage

from vla_core.alignment import StreamStatus

_SENT = tuple(StreamStatusMessage.get_fields_and_field_types())  # what only the recorder itself needs is not


def stream_messages(streams: Iterable[StreamStatus]) -> list[StreamStatusMessage]:
    return [StreamStatusMessage(**{name: getattr(stream, name) for name in _SENT}) for stream in streams]


def streams_from(messages: Iterable[StreamStatusMessage]) -> tuple[StreamStatus, ...]:
    return tuple(StreamStatus(**{name: getattr(message, name) for name in _SENT}) for message in messages)
