"""The recorder's status to messages and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from vla_msgs.msg import PromptCount as PromptCountMessage
from vla_msgs.msg import RecorderStatus as RecorderStatusMessage

from vla_recorder.diagnostics import Diagnosis
from vla_recorder.status import PromptCount, RecorderState, RecorderStatus
from vla_ros.codecs.status import stream_messages, streams_from
from vla_ros.time import to_time

_NESTED = ("state", "streams", "prompts")
_PLAIN = [field.name for field in dataclasses.fields(RecorderStatus) if field.name not in _NESTED]


def status_message(status: RecorderStatus, now_ns: int) -> RecorderStatusMessage:
    message = RecorderStatusMessage(
        state=int(status.state),
        streams=stream_messages(status.streams),
        prompts=[PromptCountMessage(**dataclasses.asdict(entry)) for entry in status.prompts],
        **{name: getattr(status, name) for name in _PLAIN},
    )
    message.header.stamp = to_time(now_ns)
    return message


def status_from(message: RecorderStatusMessage) -> RecorderStatus:
    return RecorderStatus(
        state=RecorderState(message.state),
        streams=streams_from(message.streams),
        prompts=tuple(PromptCount(entry.prompt, entry.wanted, entry.recorded) for entry in message.prompts),
        **{name: getattr(message, name) for name in _PLAIN},
    )


def diagnostic_array(node: str, diagnoses: Iterable[Diagnosis], now_ns: int) -> DiagnosticArray:
    """The message for /diagnostics: names are ``node: what it is about``, as diagnostic_updater makes them.

    Args:
        node: full name of the node, so that the entries of several do not collide.
        diagnoses: what it reports.
        now_ns: when [ns].
    """
    array = DiagnosticArray(status=[_status(node.strip("/"), diagnosis) for diagnosis in diagnoses])
    array.header.stamp = to_time(now_ns)
    return array


def _status(node: str, diagnosis: Diagnosis) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=bytes([diagnosis.level]),
        name=f"{node}: {diagnosis.about}",
        message=diagnosis.message,
        hardware_id=node,
        values=[KeyValue(key=key, value=value) for key, value in diagnosis.values.items()],
    )
