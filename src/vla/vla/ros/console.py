"""The operator's console for a program: a recorder's keys, and an ear for what the policy wants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import rclpy
from vla_msgs.msg import ActionChunk as ActionChunkMessage

from vla_core.action_chunk import ActionChunk
from vla_core.errors import ChunkError
from vla_recorder.ros.remote import RemoteRecorder
from vla_recorder.terminal import run_console
from vla_ros import host, names, qos
from vla_ros.codecs.chunks import chunk_from


@dataclass(frozen=True, eq=False)
class Console:
    """What an operator has before them.

    Attributes:
        recorder: of the graph.
        chunks: every action chunk that was published so far.
    """

    recorder: RemoteRecorder
    chunks: list[ActionChunk] = field(default_factory=list)

    def hear(self, message: ActionChunkMessage) -> None:
        """Takes note of a chunk. What is none is command_node's to refuse and to report."""
        with suppress(ChunkError):
            self.chunks.append(chunk_from(message))


@contextmanager
def operators_console() -> Iterator[Console]:
    """A console on a node of its own, while the block runs. ROS must run."""
    node = rclpy.create_node("recorder_console")
    try:
        console = Console(RemoteRecorder(node))
        node.create_subscription(ActionChunkMessage, names.ACTION_CHUNK, console.hear, qos.command())
        with console.recorder:
            yield console
    finally:
        node.destroy_node()


def work_recorder_by_keyboard() -> None:
    """Hands the recorder to whoever sits at this terminal, until they quit."""
    host.init()
    try:
        with operators_console() as console:
            run_console(console.recorder)
    finally:
        rclpy.try_shutdown()
