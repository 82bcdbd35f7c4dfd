"""recorder_node: the streams of an embodiment, aligned to steps, into one HDF5 file per episode."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from diagnostic_msgs.msg import DiagnosticArray
from std_srvs.srv import Trigger
from vla_msgs.msg import ActionChunk, ChunkLedger, CommandStatus, RecorderStatus, SimStatus
from vla_msgs.srv import SetPrompt, StartEpisode, StopEpisode

from vla_core import __version__
from vla_core.alignment import StreamStatus
from vla_core.embodiment import load_embodiment
from vla_core.episodes import CommandState, EpisodeMetadata
from vla_core.errors import ChunkError, VlaError
from vla_core.observation import Sample
from vla_core.ports import Clock
from vla_recorder.beside import Commanding
from vla_recorder.diagnostics import diagnoses_of
from vla_recorder.disk import DiskWatch
from vla_recorder.files import FinishedEpisode, FolderFound, background_writer
from vla_recorder.prompts import load_prompts
from vla_recorder.ros.messages import diagnostic_array, status_message
from vla_recorder.session import RecorderSession
from vla_recorder.settings import RecorderSettings
from vla_recorder.status import FAILURE, SUCCESS
from vla_ros import names, params, qos
from vla_ros.codecs.chunks import chunk_from
from vla_ros.codecs.ledgers import chunk_times_from
from vla_ros.codecs.states import COMMAND_STATES
from vla_ros.host import NodeHost
from vla_ros.memory import share_one_heap
from vla_ros.nodes import run_node
from vla_ros.streams import StreamSubscriptions
from vla_ros.time import to_ns

_TICK_NS = 10_000_000
_STATUS_NS = 200_000_000
_DIAGNOSTICS_NS = 1_000_000_000
_BEGIN_S = 25.0
_FINISH_S = 120.0
_EXECUTING = (CommandStatus.ARMED, CommandStatus.RUNNING)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RecorderParameters(RecorderSettings):
    """Parameters of recorder_node."""

    embodiment: str = field(metadata={"doc": "embodiment file (YAML)"})
    episodes: str = field(default="episodes", metadata={"doc": "folder for the episodes; made if it is not there"})
    prompt: str = field(default="", metadata={"doc": "language instruction of the first episode"})
    prompts: str = field(default="", metadata={"doc": "list of the prompts that are wanted (YAML); empty: none"})
    task: str = field(default="", metadata={"doc": "identifier of the task, kept in the episodes"})
    robot: Literal["sim", "mock", "real"] = field(default="real", metadata={"doc": "what moves"})


class RobotStreams:
    """The subscriptions as the session sees them (port :class:`vla_recorder.readiness.Streams`)."""

    def __init__(self, subscriptions: StreamSubscriptions, clock: Clock) -> None:
        self._subscriptions = subscriptions
        self._clock = clock

    @property
    def problems(self) -> Mapping[str, str]:
        return self._subscriptions.problems

    def status(self) -> tuple[StreamStatus, ...]:
        return self._subscriptions.status(self._clock.now_ns())

    def begin_episode(self) -> None:
        self._subscriptions.begin_episode()


class RecorderNode:
    """Steps into the session; the operator's wishes through services."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host
        self._name = host.node.get_fully_qualified_name()
        parameters = params.declare(host.node, RecorderParameters)
        embodiment = load_embodiment(Path(parameters.embodiment))
        self._seed: int | None = None
        self._disk = DiskWatch(Path(parameters.episodes))
        # in lockstep nothing is lost by waiting for the disk: simulated time waits too
        when_full: Literal["drop", "wait"] = "wait" if host.node.get_parameter("lockstep").value else "drop"
        program = f"vla_recorder {__version__}, {self._name}"
        self._subscriptions = StreamSubscriptions(host, embodiment, embodiment.sources, self._on_native, wakes=False)
        self._session = RecorderSession(
            Path(parameters.episodes),
            EpisodeMetadata(parameters.prompt, parameters.robot, embodiment, parameters.task),
            functools.partial(background_writer, when_full=when_full, queue_mb=parameters.queue_mb, recorder=program),
            RobotStreams(self._subscriptions, host.clock),
            self._disk.state,
            parameters,
            load_prompts(parameters.prompts) if parameters.prompts else None,
        )
        self._status = host.publisher(RecorderStatus, names.RECORDER_STATUS, qos.latched())
        self._diagnostics = host.publisher(DiagnosticArray, "/diagnostics", qos.command())
        self._listen(host, simulated=parameters.robot != "real")
        self._serve(host)
        host.every(_TICK_NS, self._on_tick)
        host.every(_STATUS_NS, self._publish_status)
        host.every(_DIAGNOSTICS_NS, self._publish_diagnostics)
        self._session.look_through().add_done_callback(self._report_found)
        self._publish_status(host.clock.now_ns())

    def close(self) -> None:
        """Completes the file of an episode that nobody stopped."""
        self._session.close()
        self._disk.close()

    def _listen(self, host: NodeHost, simulated: bool) -> None:
        host.subscribe(ActionChunk, names.ACTION_CHUNK, self._on_chunk, qos.command(), wakes=False)
        host.subscribe(CommandStatus, names.COMMAND_STATUS, self._on_command_status, qos.latched(), wakes=False)
        host.subscribe(ChunkLedger, names.CHUNK_LEDGER, self._on_chunk_ledger, qos.command(depth=50), wakes=False)
        if simulated:
            host.subscribe(SimStatus, names.SIM_STATUS, self._on_sim_status, qos.latched(), wakes=False)

    def _serve(self, host: NodeHost) -> None:
        host.background_service(StartEpisode, names.START_EPISODE, self._on_start)
        host.background_service(StopEpisode, names.STOP_EPISODE, self._on_stop)
        host.service(SetPrompt, names.SET_RECORDER_PROMPT, self._on_set_prompt)
        host.service(Trigger, names.MARK_FAILURE, functools.partial(self._on_mark, FAILURE))
        host.service(Trigger, names.MARK_SUCCESS, functools.partial(self._on_mark, SUCCESS))

    # -- what comes from the robot -------------------------------------------------------------------------------------

    def _on_tick(self, now_ns: int) -> None:
        for step in self._subscriptions.pop(now_ns):
            self._session.step(step)

    def _on_native(self, stream: str, sample: Sample) -> None:
        self._session.beside.sample(stream, sample)

    def _on_chunk(self, message: ActionChunk, receive_ns: int) -> None:
        try:
            self._session.beside.chunk(chunk_from(message), receive_ns)
        except ChunkError as error:
            self._host.node.get_logger().warning(str(error), throttle_duration_sec=1.0)

    def _on_command_status(self, message: CommandStatus, receive_ns: int) -> None:
        executes = message.state in _EXECUTING
        policy_id = message.active_policy if executes and not message.intervention else ""
        stamp_ns = to_ns(message.header.stamp)
        self._session.beside.commanding = Commanding(executes, message.strategy, policy_id, stamp_ns)
        state = COMMAND_STATES.get(message.state, "unknown")
        self._session.beside.state(CommandState(stamp_ns, state, message.message, message.intervention))

    def _on_chunk_ledger(self, message: ChunkLedger, receive_ns: int) -> None:
        self._session.beside.times(chunk_times_from(message))

    def _on_sim_status(self, message: SimStatus, receive_ns: int) -> None:
        self._seed = message.seed

    # -- what the operator wants ---------------------------------------------------------------------------------------

    def _on_start(self, request: StartEpisode.Request, response: StartEpisode.Response) -> StartEpisode.Response:
        def start() -> Future[Path]:
            return self._session.start(request.prompt, self._seed, request.policy_id, request.redo)

        try:
            response.path = str(self._done(start, _BEGIN_S, "begun"))
            response.accepted = True
        except VlaError as error:
            response.message = str(error)
            self._host.node.get_logger().error(response.message)
        self._host.in_loop(lambda: self._publish_status(self._host.clock.now_ns()))
        return response

    def _on_stop(self, request: StopEpisode.Request, response: StopEpisode.Response) -> StopEpisode.Response:
        try:
            ended: FinishedEpisode = self._done(lambda: self._session.stop(request.outcome), _FINISH_S, "complete")
        except VlaError as error:
            response.message = str(error)
        else:
            response.accepted = True
            response.path = str(ended.path or "")
            response.steps = ended.steps
            response.good = ended.good
            response.verdict = "\n".join(ended.verdict)
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

    def _on_mark(self, outcome: str, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            self._session.mark(outcome)
            response.success = True
        except VlaError as error:
            response.message = str(error)
        self._publish_status(self._host.clock.now_ns())
        return response

    # -- how -----------------------------------------------------------------------------------------------------------

    def _done(self, begin: Callable[[], Future[T]], within_s: float, what: str) -> T:
        """Begins something in the loop and waits beside it until the disk has done it.

        Raises:
            VlaError: it is refused, it fails, or it takes longer than that [s].
        """
        future = self._host.in_loop(begin)
        if not wait([future], within_s).done:
            raise VlaError(f"the episode was not {what} within {within_s:.0f} s; the disk is still at it")
        return future.result()

    def _report_found(self, found: Future[FolderFound]) -> None:
        if found.exception() is None:
            for line in found.result().recovered:
                self._host.node.get_logger().warning(line)

    def _publish_status(self, now_ns: int) -> None:
        self._status.publish(status_message(self._session.status(), now_ns))

    def _publish_diagnostics(self, now_ns: int) -> None:
        self._diagnostics.publish(diagnostic_array(self._name, diagnoses_of(self._session.status()), now_ns))


def main() -> int:
    share_one_heap()
    return run_node("recorder_node", RecorderNode)


if __name__ == "__main__":
    sys.exit(main())
