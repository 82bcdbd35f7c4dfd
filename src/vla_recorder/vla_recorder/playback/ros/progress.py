"""The progress of a playback as a diagnostic status, and back."""

from __future__ import annotations

import dataclasses

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from vla_recorder.playback.progress import PlaybackProgress, PlaybackState


def progress_message(progress: PlaybackProgress) -> DiagnosticStatus:
    values = {**dataclasses.asdict(progress), "state": progress.state.value}
    return DiagnosticStatus(
        level=DiagnosticStatus.OK,
        name="playback_node",
        message=f"{progress.state.value}: {progress.played} of {progress.total} messages",
        hardware_id="",
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )


def progress_from(message: DiagnosticStatus) -> PlaybackProgress:
    values = {entry.key: entry.value for entry in message.values}
    return PlaybackProgress(
        state=PlaybackState(values["state"]),
        source=values["source"],
        played=int(values["played"]),
        total=int(values["total"]),
        first_ns=int(values["first_ns"]),
        newest_ns=int(values["newest_ns"]),
        start_ns=int(values["start_ns"]),
    )
