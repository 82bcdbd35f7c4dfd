"""recorder_node: the streams of an embodiment, aligned to steps, into one HDF5 file per episode."""

from __future__ import annotations

import dataclasses
import functools
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from std_srvs.srv import Trigger
from vla_msgs.msg import RecorderStatus, SimStatus
from vla_msgs.srv import SetPrompt, StartEpisode, StopEpisode

from vla_core.embodiment import load_embodiment
from vla_core.episodes import EpisodeMetadata
from vla_core.errors import VlaError
from vla_recorder.ros.messages import status_message
from vla_recorder.session import FinishedEpisode, RecorderSession, background_writer
from vla_ros import names, params, qos
from vla_ros.host import NodeHost
from vla_ros.nodes import run_node
from vla_ros.streams import StreamSubscriptions

_TICK_NS = 10_000_000
_STATUS_NS = 200_000_000
_STALE_S = 0.5
_FINISH_S = 120.0


@dataclass(frozen=True)
class RecorderParameters:
    """Parameters of recorder_node."""

    embodiment: str = field(metadata={"doc": "embodiment file (YAML)"})
    episodes: str = field(default="episodes", metadata={"doc": "folder for the episodes; made if it is not there"})
    prompt: str = field(default="", metadata={"doc": "language instruction of the first episode"})
    task: str = field(default="", metadata={"doc": "identifier of the task, kept in the episodes"})
    robot: Literal["sim", "mock", "real"] = field(default="real", metadata={"doc": "what moves"})


class RecorderNode:
    """Steps into the session; the operator's wishes through services."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host
        parameters = params.declare(host.node, RecorderParameters)
        embodiment = load_embodiment(Path(parameters.embodiment))
        self._streams = StreamSubscriptions(host, embodiment, (*embodiment.cameras, *embodiment.streams))
        self._seed: int | None = None
        # in lockstep nothing is lost by waiting for the disk: simulated time waits too
        when_full: Literal["drop", "wait"] = "wait" if host.node.get_parameter("lockstep").value else "drop"
        self._session = RecorderSession(
            Path(parameters.episodes),
            EpisodeMetadata(parameters.prompt, parameters.robot, embodiment, parameters.task),
            functools.partial(background_writer, when_full=when_full),
            lambda: self._streams.status(host.clock.now_ns()),
        )
        self._status = host.publisher(RecorderStatus, names.RECORDER_STATUS, qos.latched())
        if parameters.robot != "real":
            host.subscribe(SimStatus, names.SIM_STATUS, self._on_sim_status, qos.latched())
        host.service(StartEpisode, names.START_EPISODE, self._on_start)
        host.background_service(StopEpisode, names.STOP_EPISODE, self._on_stop)
        host.service(SetPrompt, names.SET_RECORDER_PROMPT, self._on_set_prompt)
        host.service(Trigger, names.MARK_FAILURE, self._on_mark_failure)
        host.every(_TICK_NS, self._on_tick)
        host.every(_STATUS_NS, self._publish_status)
        self._publish_status(host.clock.now_ns())

    def close(self) -> None:
        """Completes the file of an episode that nobody stopped."""
        self._session.close()

    def _on_tick(self, now_ns: int) -> None:
        for step in self._streams.pop(now_ns):
            self._session.step(step)

    def _on_sim_status(self, message: SimStatus, receive_ns: int) -> None:
        self._seed = message.seed

    def _on_start(self, request: StartEpisode.Request, response: StartEpisode.Response) -> StartEpisode.Response:
        now_ns = self._host.clock.now_ns()
        missing = self._streams.absent(now_ns, _STALE_S)
        if missing:
            response.message = "not started: " + "; ".join(missing)
            self._host.node.get_logger().error(response.message)
            return response
        try:
            response.path = str(self._session.start(request.prompt, self._seed, request.policy_id))
            response.accepted = True
        except VlaError as error:
            response.message = str(error)
        self._publish_status(now_ns)
        return response

    def _on_stop(self, request: StopEpisode.Request, response: StopEpisode.Response) -> StopEpisode.Response:
        """Stops in the loop, waits for the file beside it."""
        try:
            ending = self._host.in_loop(lambda: self._session.stop(request.outcome))
            ended: FinishedEpisode = ending.result(_FINISH_S)
        except VlaError as error:
            response.message = str(error)
        except TimeoutError:
            response.message = f"the episode was not complete within {_FINISH_S:.0f} s; it goes on being written"
        else:
            response.accepted = True
            response.path = str(ended.path or "")
            response.steps = ended.steps
        self._host.in_loop(lambda: self._publish_status(self._host.clock.now_ns()))
        return response

    def _on_set_prompt(self, request: SetPrompt.Request, response: SetPrompt.Response) -> SetPrompt.Response:
        try:
            self._session.set_prompt(request.prompt)
            response.accepted = True
        except VlaError as error:
            response.message = str(error)
        self._publish_status(self._host.clock.now_ns())
        return response

    def _on_mark_failure(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            self._session.mark_failure()
            response.success = True
        except VlaError as error:
            response.message = str(error)
        self._publish_status(self._host.clock.now_ns())
        return response

    def _publish_status(self, now_ns: int) -> None:
        status = self._session.status()
        if not status.message and self._streams.problems:
            status = dataclasses.replace(status, message="; ".join(self._streams.problems.values()))
        self._status.publish(status_message(status, now_ns))


def main() -> int:
    return run_node("recorder_node", RecorderNode)


if __name__ == "__main__":
    sys.exit(main())
