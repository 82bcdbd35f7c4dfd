"""Stream status to messages and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from vla_msgs.msg import StreamStatus as StreamStatusMessage

from vla_core.alignment import StreamStatus


def stream_messages(streams: Iterable[StreamStatus]) -> list[StreamStatusMessage]:
    return [StreamStatusMessage(**dataclasses.asdict(stream)) for stream in streams]


def streams_from(messages: Iterable[StreamStatusMessage]) -> tuple[StreamStatus, ...]:
    names = [field.name for field in dataclasses.fields(StreamStatus)]
    return tuple(StreamStatus(**{name: getattr(message, name) for name in names}) for message in messages)
