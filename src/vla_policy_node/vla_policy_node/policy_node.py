"""policy_node: assembles observations, lets a policy infer chunks, and publishes them with their time."""

from __future__ import annotations

import math
import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field as Constraint
from vla_msgs.action import RunPolicy
from vla_msgs.msg import ActionChunk as ActionChunkMessage
from vla_msgs.msg import PolicyStatus
from vla_msgs.srv import LoadPolicy, SetPrompt

from vla_core.action_chunk import ActionChunk
from vla_core.chunking import requests_for
from vla_core.embodiment import load_embodiment
from vla_core.errors import PeerLost, VlaError
from vla_core.ports import Policy
from vla_core.strategies import DEFAULT_DECAY, Decay, Strategy
from vla_policy_node.fake import FAKE, FakePolicy
from vla_policy_node.remote import is_remote, remote_policy
from vla_policy_node.runner import Inference, PolicyRunner, RunnerState
from vla_ros import names, params, qos
from vla_ros.codecs.chunks import chunk_message
from vla_ros.codecs.status import stream_messages
from vla_ros.host import NodeHost
from vla_ros.nodes import run_node
from vla_ros.streams import StreamSubscriptions
from vla_ros.time import to_time

_TICK_NS = 5_000_000
_STATUS_NS = 200_000_000
_FEEDBACK_S = 0.2


@dataclass(frozen=True)
class PolicyParameters:
    """Parameters of policy_node."""

    embodiment: str = field(metadata={"doc": "embodiment file (YAML)"})
    policy: str = field(
        default="",
        metadata={"doc": "checkpoint folder to load first, or a server's address; empty: none; fake: a slow wave"},
    )
    device: str = field(default="cpu", metadata={"doc": "cpu, cuda or cuda:N"})
    strategy: Strategy = field(
        default="receding_horizon", metadata={"doc": "when chunks are asked for and what they go on from"}
    )
    execution_horizon: Annotated[int, Constraint(gt=0)] = field(
        default=8, metadata={"doc": "steps from one inference to the next"}
    )
    prefix_decay: Decay = field(
        default=DEFAULT_DECAY,
        metadata={"doc": "real-time chunking: how the hold on the executed chunk falls: linear, exp, ones or zeros"},
    )
    lockstep_latency_ms: Annotated[float, Constraint(ge=0)] = field(
        default=40.0, metadata={"doc": "in lockstep, simulated time that an inference takes [ms]"}
    )


class PolicyNode:
    """Steps in, chunks out."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host
        self._parameters = params.declare(host.node, PolicyParameters)
        self._embodiment = load_embodiment(Path(self._parameters.embodiment))
        parameters = self._parameters
        requests = requests_for(
            parameters.strategy, parameters.execution_horizon, self._embodiment, parameters.prefix_decay
        )
        self._runner = PolicyRunner(self._embodiment, requests)
        self._streams = StreamSubscriptions(
            host, self._embodiment, (*self._embodiment.cameras, *self._embodiment.observed_streams), early=True
        )
        self._lockstep = bool(host.node.get_parameter("lockstep").value)
        self._outbox: deque[tuple[int, ActionChunk]] = deque()  # chunks and when they are there
        self._ended = threading.Event()
        self._chunks = host.publisher(ActionChunkMessage, names.ACTION_CHUNK, qos.command())
        self._status = host.publisher(PolicyStatus, names.POLICY_STATUS, qos.latched())
        host.background_service(LoadPolicy, names.LOAD_POLICY, self._on_load)
        host.service(SetPrompt, names.SET_POLICY_PROMPT, self._on_set_prompt)
        self._server = host.action_server(RunPolicy, names.RUN_POLICY, self._run)
        host.every(_TICK_NS, self._on_tick)
        host.every(_STATUS_NS, self._publish_status)
        if self._parameters.policy:
            self._runner.loaded(self._ready(self._parameters.policy, self._parameters.device))
        self._publish_status(host.clock.now_ns())

    def close(self) -> None:
        self._ended.set()

    # -- observations in, chunks out -----------------------------------------------------------------------------------

    def _on_tick(self, now_ns: int) -> None:
        self._publish_ready(now_ns)
        was_well = not self._runner.message
        inference = self._runner.tick(self._streams.pop(now_ns), now_ns, lambda: self._problems(now_ns))
        if was_well == bool(self._runner.message):
            self._publish_status(now_ns)  # at once: the arm is to be stopped
        if inference is not None:
            self._host.compute(lambda: self._infer(inference), self._on_inferred)
        if self._runner.state is not RunnerState.RUNNING:
            self._ended.set()

    def _problems(self, now_ns: int) -> str:
        """What is wrong with the streams, in one line."""
        return "; ".join(self._streams.absent(now_ns, self._embodiment.safety.max_observation_age_ms * 1e-3))

    def _infer(self, inference: Inference) -> ActionChunk | VlaError:
        try:
            return self._runner.infer(inference, self._host.clock.now_ns())
        except VlaError as error:
            return error

    def _on_inferred(self, result: ActionChunk | VlaError) -> None:
        now_ns = self._host.clock.now_ns()
        if isinstance(result, PeerLost):
            if self._runner.lost(str(result)):
                self._host.node.get_logger().warning(f"nothing is inferred: {result}")
                self._publish_status(now_ns)
            return
        if isinstance(result, VlaError):
            self._runner.failed(str(result))
            self._host.node.get_logger().error(f"fault: {result}")
            self._publish_status(now_ns)
            return
        self._runner.measured(result)
        if self._lockstep:
            # simulated time stands still while a policy infers, so its latency is simulated too, and the same in every run
            latency_ns = round(self._parameters.lockstep_latency_ms * 1e6)
            self._outbox.append((now_ns + latency_ns, result.inferred_within(latency_ns)))
        else:
            self._outbox.append((now_ns, result))
        self._publish_ready(now_ns)

    def _publish_ready(self, now_ns: int) -> None:
        while self._outbox and self._outbox[0][0] <= now_ns:
            chunk = self._runner.inferred(self._outbox.popleft()[1], now_ns)
            if chunk is not None:
                self._chunks.publish(chunk_message(chunk, self._embodiment.action_units))

    # -- what an operator asks for -------------------------------------------------------------------------------------

    def _ready(self, path: str, device: str) -> Policy:
        """A policy that was loaded and warmed up: not before is the node ready, so that a run's first chunk is quick."""
        policy = self._load(path, device)
        self._runner.require_fitting(policy)
        took_s = policy.warm_up()
        where = path.partition("?")[0] if is_remote(path) else device
        self._host.node.get_logger().info(f"loaded {policy.policy_id} on {where}, warmed up in {took_s:.2f} s")
        return policy

    def _load(self, path: str, device: str) -> Policy:
        """Loads a checkpoint and checks it against the embodiment."""
        if path == FAKE:
            return FakePolicy(self._embodiment)
        if is_remote(path):
            return remote_policy(path, self._embodiment)
        from vla_policies import load  # torch: only where a policy is loaded

        policy = load(Path(path), device=device, embodiment=self._embodiment)
        self._host.node.get_logger().info(policy.description)
        return policy

    def _on_load(self, request: LoadPolicy.Request, response: LoadPolicy.Response) -> LoadPolicy.Response:
        if self._runner.state is RunnerState.RUNNING:
            response.message = "a run is on; expected it to be cancelled before another policy is loaded"
            return response
        try:
            policy = self._ready(request.path, request.device or self._parameters.device)
        except VlaError as error:
            response.message = str(error)
            return response
        self._host.in_loop(lambda: self._runner.loaded(policy))
        response.accepted, response.policy_id, response.message = True, policy.policy_id, f"loaded {policy.policy_id}"
        return response

    def _on_set_prompt(self, request: SetPrompt.Request, response: SetPrompt.Response) -> SetPrompt.Response:
        self._runner.prompt = request.prompt
        response.accepted = True
        return response

    def _run(self, goal: Any) -> RunPolicy.Result:
        """Serves one goal: starts a run, tells how it goes, and waits for its end. Runs beside the loop."""
        reason, started_ns = self._host.in_loop(lambda: self._start(goal.request))
        if reason:
            goal.abort()
            return RunPolicy.Result(message=reason)
        while not self._ended.wait(_FEEDBACK_S) and not self._host.stopped:
            if goal.is_cancel_requested:
                self._host.in_loop(self._stop)
            else:
                goal.publish_feedback(self._host.in_loop(self._feedback))
        return self._host.in_loop(lambda: self._finish(goal, started_ns))

    def _start(self, request: RunPolicy.Goal) -> tuple[str, int]:
        now_ns = self._host.clock.now_ns()
        missing = self._streams.absent(now_ns, longer_than_s=1.0)
        reason = "\n".join(missing) or self._runner.start(request.prompt, now_ns, request.duration_s)
        if not reason:
            self._ended.clear()
        self._publish_status(now_ns)
        return reason, now_ns

    def _stop(self) -> None:
        self._runner.stop()
        self._ended.set()

    def _finish(self, goal: Any, started_ns: int) -> RunPolicy.Result:
        now_ns = self._host.clock.now_ns()
        self._runner.stop()
        self._publish_status(now_ns)
        if self._runner.chunks_discarded:
            self._host.node.get_logger().warning(
                f"{self._runner.chunks_discarded} chunks took longer than they were conditioned on, and were discarded"
            )
        fault = self._runner.state is RunnerState.FAULT
        if goal.is_cancel_requested:
            goal.canceled()
        elif fault:
            goal.abort()
        else:
            goal.succeed()
        message = self._runner.message if fault else ""
        return RunPolicy.Result(message=message, chunks=self._runner.chunks, duration_s=(now_ns - started_ns) * 1e-9)

    def _feedback(self) -> RunPolicy.Feedback:
        until_ns = self._runner.until_ns
        return RunPolicy.Feedback(
            chunks=self._runner.chunks,
            remaining_s=math.nan if until_ns is None else (until_ns - self._host.clock.now_ns()) * 1e-9,
            latency_ms=self._runner.latencies_ms[-1] if self._runner.latencies_ms else math.nan,
        )

    def _publish_status(self, now_ns: int) -> None:
        latency = self._runner.latency()
        message = PolicyStatus(
            state=self._runner.state.value,
            message=self._runner.message,
            policy_id=self._runner.policy_id,
            prompt=self._runner.prompt,
            chunks=self._runner.chunks,
            chunks_discarded=self._runner.chunks_discarded,
            stale_observations=self._runner.stale_observations,
            latency_p50_ms=latency.p50_ms,
            latency_p95_ms=latency.p95_ms,
            latency_p99_ms=latency.p99_ms,
            streams=stream_messages(self._streams.status(now_ns)),
        )
        message.header.stamp = to_time(now_ns)
        self._status.publish(message)


def main() -> int:
    return run_node("policy_node", PolicyNode)


if __name__ == "__main__":
    sys.exit(main())
