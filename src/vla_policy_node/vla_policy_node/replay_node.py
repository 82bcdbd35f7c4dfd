"""replay_node: plays the recorded actions of an episode as chunks, which a command_node executes as it does a policy's."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vla_msgs.action import ReplayEpisode
from vla_msgs.msg import ActionChunk, CommandStatus

from vla_core.embodiment import load_embodiment
from vla_core.errors import VlaError
from vla_core.execution import ExecutorState
from vla_policy_node.replay import ActionReplay, ExecutionWatch, RecordedActions, ReplayRefused, read_actions
from vla_ros import names, params, qos
from vla_ros.codecs.chunks import chunk_message
from vla_ros.host import NodeHost
from vla_ros.nodes import run_node
from vla_ros.time import to_ns

_CHUNK_NS = 100_000_000
_FEEDBACK_S = 0.1


@dataclass(frozen=True)
class ReplayParameters:
    """Parameters of replay_node."""

    embodiment: str = field(metadata={"doc": "embodiment file (YAML)"})


class ReplayNode:
    """An episode in, chunks out, for as long as a goal is served."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host
        parameters = params.declare(host.node, ReplayParameters)
        self._embodiment = load_embodiment(Path(parameters.embodiment))
        self._replay: ActionReplay | None = None
        self._watch = ExecutionWatch()
        self._ended = threading.Event()
        self._reason = ""  # why the replay ended early
        self._chunks = host.publisher(ActionChunk, names.ACTION_CHUNK, qos.command())
        host.subscribe(CommandStatus, names.COMMAND_STATUS, self._on_command_status, qos.latched())
        self._server = host.action_server(ReplayEpisode, names.REPLAY_EPISODE, self._serve)
        host.every(_CHUNK_NS, self._on_tick)

    def close(self) -> None:
        self._ended.set()

    # -- chunks out ----------------------------------------------------------------------------------------------------

    def _on_tick(self, now_ns: int) -> None:
        if self._replay is None:
            return
        reason = self._watch.silent(now_ns)
        if reason or now_ns >= self._replay.end_ns:
            self._end(reason)
        else:
            self._publish(self._replay, now_ns)

    def _publish(self, replay: ActionReplay, now_ns: int) -> None:
        self._chunks.publish(chunk_message(replay.chunk_at(now_ns), self._embodiment.action_units))

    def _on_command_status(self, message: CommandStatus, receive_ns: int) -> None:
        reason = self._watch.note(
            to_ns(message.header.stamp),
            ExecutorState(message.state),
            message.message,
            message.chunks_accepted,
            message.chunks_refused,
        )
        if reason and self._replay is not None:
            self._end(reason)

    def _end(self, reason: str) -> None:
        if reason:
            self._host.node.get_logger().warning(f"the replay ends early: {reason}")
        self._reason = reason
        self._ended.set()

    # -- goals -----------------------------------------------------------------------------------------------------------

    def _serve(self, goal: Any) -> ReplayEpisode.Result:
        """Serves one goal: reads the episode, starts it, tells how it goes, and waits for its end. Runs beside the loop."""
        path, speed = Path(goal.request.path), goal.request.speed or 1.0
        try:
            recorded = read_actions(path, self._embodiment)
            self._host.in_loop(lambda: self._start(recorded, speed))
        except VlaError as error:
            goal.abort()
            return ReplayEpisode.Result(message=str(error))
        while not self._ended.wait(_FEEDBACK_S) and not self._host.stopped:
            if goal.is_cancel_requested:
                self._host.in_loop(lambda: self._end("cancelled"))
            else:
                goal.publish_feedback(self._host.in_loop(self._feedback))
        return self._host.in_loop(lambda: self._finish(goal))

    def _start(self, recorded: RecordedActions, speed: float) -> None:
        if self._replay is not None:
            raise ReplayRefused("an episode is being played; expected it to end, or to be cancelled, first")
        now_ns = self._host.clock.now_ns()
        self._replay = ActionReplay(recorded, now_ns, speed)
        self._watch.restart(now_ns)
        self._ended.clear()
        self._reason = ""
        self._host.node.get_logger().info(f"playing {recorded.name}: {recorded.duration_ns * 1e-9:.1f} s at {speed:g}")
        self._publish(self._replay, now_ns)

    def _finish(self, goal: Any) -> ReplayEpisode.Result:
        replay, self._replay = self._replay, None
        steps = replay.played(self._host.clock.now_ns()) if replay else 0
        if goal.is_cancel_requested:
            goal.canceled()
        elif self._reason:
            goal.abort()
        else:
            goal.succeed()
        return ReplayEpisode.Result(success=not self._reason, message=self._reason, steps=steps)

    def _feedback(self) -> ReplayEpisode.Feedback:
        replay, now_ns = self._replay, self._host.clock.now_ns()
        if replay is None:
            return ReplayEpisode.Feedback()
        return ReplayEpisode.Feedback(
            elapsed_s=(now_ns - replay.start_ns) * 1e-9, remaining_s=max(0, replay.end_ns - now_ns) * 1e-9
        )


def main() -> int:
    return run_node("replay_node", ReplayNode)


if __name__ == "__main__":
    sys.exit(main())
