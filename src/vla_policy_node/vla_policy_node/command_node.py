"""command_node: takes action chunks, and sends the arm's controller plans that keep every limit.

It runs on the robot's computer, in a process of its own and without torch, so that inference can never make it late.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field as Constraint
from vla_msgs.msg import ActionChunk, CommandStatus, PolicyStatus

from vla_core.chunking import scheduler_for
from vla_core.embodiment import JointLimits, load_embodiment
from vla_core.errors import ChunkError
from vla_core.execution import Executor, ExecutorState, Output
from vla_core.execution.robot_watch import RobotWatch
from vla_core.execution.use import UseMeter
from vla_core.strategies import Strategy
from vla_policy_node.ros.ledgers import LedgerTopics
from vla_policy_node.ros.services import CommandServices
from vla_ros import names, params, qos
from vla_ros.codecs.chunks import chunk_from
from vla_ros.host import NodeHost
from vla_ros.nodes import run_node
from vla_ros.robot.human import HumanTopics
from vla_ros.robot.sinks import GripperSink, arm_sink
from vla_ros.time import to_time

_STATUS_NS = 100_000_000
_GRIPPER_NS = 50_000_000
_STOP_ATTEMPTS = 5


@dataclass(frozen=True)
class CommandParameters:
    """Parameters of command_node."""

    embodiment: str = field(metadata={"doc": "embodiment file (YAML)"})
    strategy: Strategy = field(default="receding_horizon", metadata={"doc": "how chunks are combined"})
    ensembling_coefficient: float = field(
        default=0.01, metadata={"doc": "temporal ensembling: how much less each younger chunk weighs"}
    )
    speed: Annotated[float, Constraint(gt=0, le=1)] = field(
        default=1.0, metadata={"doc": "share of its speed at which what chunks ask for is passed, at the start"}
    )
    roughness: Annotated[float, Constraint(ge=0)] = field(
        default=5.0, metadata={"doc": "how strongly noise between the actions of a chunk is taken out; 0 not at all"}
    )
    realtime_priority: Annotated[int, Constraint(ge=0, le=99)] = field(
        default=40, metadata={"doc": "SCHED_FIFO priority of the control loop, where permitted; 0: the usual scheduling"}
    )


class CommandNode:
    """Takes chunks, ticks the executor, sends what it decides."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host
        self._parameters = params.declare(host.node, CommandParameters)
        self._embodiment = load_embodiment(Path(self._parameters.embodiment))
        given = self._parameters
        scheduler = scheduler_for(given.strategy, given.roughness, given.ensembling_coefficient)
        self._executor = Executor(self._embodiment, scheduler)
        self._executor.set_speed(given.speed, 0)
        self._watch = RobotWatch(self._embodiment)
        self._use = UseMeter(JointLimits.of(self._embodiment))
        self._arm = arm_sink(host, self._embodiment)
        gripper = self._embodiment.gripper
        self._gripper = GripperSink(host, gripper) if gripper else None
        self._rests_ns: int | None = None  # when the arm has come to rest after it was disarmed
        self._commands_sent = 0
        self._commands_at_status = (0, 0)  # commands sent and time of the last status [ns]
        self._status = host.publisher(CommandStatus, names.COMMAND_STATUS, qos.latched())
        host.subscribe(ActionChunk, names.ACTION_CHUNK, self._on_chunk, qos.command())
        host.subscribe(PolicyStatus, names.POLICY_STATUS, self._on_policy_status, qos.latched())
        HumanTopics(host, self._embodiment, self._executor)
        self._services = CommandServices(
            host,
            self._embodiment,
            self._executor,
            self._watch,
            self._gripper,
            lambda: self._publish_status(host.clock.now_ns()),
            self._stop_and_disarm,
        )
        self._ledgers = LedgerTopics(host, self._executor)
        self._ticks = host.every(round(1e9 / self._embodiment.motion.control_rate_hz), self._on_tick, urgent=True)
        host.every(_STATUS_NS, self._publish_status)
        if self._gripper:
            host.every(_GRIPPER_NS, self._announce_gripper)
        host.keep_time(given.realtime_priority)
        self._publish_status(host.clock.now_ns())

    def close(self) -> None:
        """Leaves the arm to come to rest."""
        self._stop_and_disarm()

    # -- messages, services and timers: each converts, calls the executor, and sends -----------------------------------

    def _on_chunk(self, message: ActionChunk, receive_ns: int) -> None:
        before = self._executor.state
        try:
            chunk = chunk_from(message)
            self._executor.submit(chunk, self._host.clock.now_ns())
            self._ledgers.received(chunk, receive_ns)
        except ChunkError as error:
            self._host.node.get_logger().warning(str(error), throttle_duration_sec=1.0)
        self._log_fault(before)

    def _on_policy_status(self, message: PolicyStatus, receive_ns: int) -> None:
        self._executor.expect_chunks(message.state == PolicyStatus.RUNNING)

    def _on_tick(self, now_ns: int) -> None:
        before = self._executor.state
        if self._executor.commanding and (found := self._watch.check(now_ns)):
            self._executor.fault(found)
        output = self._executor.tick(now_ns)
        if output is not None:
            if self._send(output, now_ns):
                self._ledgers.planned(output.smoothed, now_ns)
            self._use.note(output.smoothed.plan, now_ns)
        self._log_fault(before)
        if self._rests_ns is not None and now_ns > self._rests_ns:
            self._rests_ns = None
            self._services.give_back_controllers()

    def _announce_gripper(self, now_ns: int) -> None:
        target = self._executor.gripper_target
        if self._gripper and target is not None and self._executor.state is not ExecutorState.SHADOW:
            self._gripper.announce(target)

    # -- sending -------------------------------------------------------------------------------------------------------

    def _send(self, output: Output, now_ns: int) -> bool:
        """Sends what a tick decided; returns False where the plan would come too late, and was withdrawn."""
        in_time = self._executor.in_time(output, self._host.clock.now_ns())
        if not output.send:
            return in_time
        if in_time:
            self._commands_sent += self._arm.send(output.smoothed.plan, output.smoothed.changed, now_ns)
        if output.gripper is not None and self._gripper:
            self._gripper.send(output.gripper)
        return in_time

    def _stop_and_disarm(self) -> None:
        """Sends a stop, planned anew where the machine was too slow, and then nothing any more."""
        output = None
        for _ in range(_STOP_ATTEMPTS):
            now_ns = self._host.clock.now_ns()
            output = self._executor.stop(now_ns)
            if output is None or self._send(output, now_ns):
                break
        if output is not None:
            self._rests_ns = output.smoothed.plan.end_ns
        self._executor.disarm()

    def _log_fault(self, before: ExecutorState) -> None:
        if self._executor.state is ExecutorState.FAULT and before is not ExecutorState.FAULT:
            self._host.node.get_logger().error(f"fault: {self._executor.message}")
            self._publish_status(self._host.clock.now_ns())

    def _publish_status(self, now_ns: int) -> None:
        executor, use = self._executor, self._use.read()
        state = executor.commanded_at(now_ns)
        ruling, lateness = executor.scheduler.ruling, self._ticks.lateness.read()
        message = CommandStatus(
            state=executor.state.value,
            message=executor.message,
            fault=executor.fault_name.value if executor.fault_name else "",
            intervention=executor.intervention,
            speed=executor.scheduler.speed,
            strategy=self._parameters.strategy,
            names=list(self._embodiment.joint_names),
            position=_doubles(state.position if state else []),
            velocity=_doubles(state.velocity if state else []),
            acceleration=_doubles(state.acceleration if state else []),
            gripper=float("nan") if executor.gripper_target is None else executor.gripper_target,
            velocity_use=_doubles(use.velocity),
            acceleration_use=_doubles(use.acceleration),
            jerk_use=_doubles(use.jerk),
            chunks_accepted=executor.counters.chunks_accepted,
            chunks_refused=executor.counters.chunks_refused,
            chunks_discarded=executor.counters.chunks_discarded,
            chunks_late=executor.counters.chunks_late,
            ticks_starved=executor.counters.ticks_starved,
            commands_sent=self._commands_sent,
            command_rate_hz=self._command_rate(now_ns),
            deadline_misses=self._ticks.missed + executor.counters.plans_withdrawn,
            lateness_p50_us=lateness.p50_us,
            lateness_max_us=lateness.max_us,
            scheduling=self._host.scheduling,
            active_policy=ruling.policy_id if ruling else "",
            active_sequence=ruling.sequence if ruling else 0,
        )
        message.header.stamp = to_time(now_ns)
        self._status.publish(message)

    def _command_rate(self, now_ns: int) -> float:
        """Commands per second since the last status [Hz]."""
        sent, then_ns = self._commands_at_status
        self._commands_at_status = (self._commands_sent, now_ns)
        if now_ns <= then_ns or self._commands_sent < sent:
            return 0.0
        return (self._commands_sent - sent) / ((now_ns - then_ns) * 1e-9)


def _doubles(values: Iterable[float]) -> array[float]:
    return array("d", values)


def main() -> int:
    return run_node("command_node", CommandNode)


if __name__ == "__main__":
    sys.exit(main())
