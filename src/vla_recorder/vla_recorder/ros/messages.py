"""The recorder's status to a message and back."""

from __future__ import annotations

import dataclasses

from vla_msgs.msg import RecorderStatus as RecorderStatusMessage

from vla_recorder.status import RecorderState, RecorderStatus
from vla_ros.codecs.status import stream_messages, streams_from
from vla_ros.time import to_time

_PLAIN = [field.name for field in dataclasses.fields(RecorderStatus) if field.name not in ("state", "streams")]


def status_message(status: RecorderStatus, now_ns: int) -> RecorderStatusMessage:
    message = RecorderStatusMessage(
        state=int(status.state),
        streams=stream_messages(status.streams),
        **{name: getattr(status, name) for name in _PLAIN},
    )
    message.header.stamp = to_time(now_ns)
    return message


def status_from(message: RecorderStatusMessage) -> RecorderStatus:
    return RecorderStatus(
        state=RecorderState(message.state),
        streams=streams_from(message.streams),
        **{name: getattr(message, name) for name in _PLAIN},
    )
