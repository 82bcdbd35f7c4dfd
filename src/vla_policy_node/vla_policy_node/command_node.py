"""command_node: takes action chunks, and sends the arm's controller plans that keep every limit.

It runs on the robot's computer, in a process of its own and without torch, so that inference can never make it late.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field as Constraint
from vla_msgs.msg import ActionChunk, PolicyStatus

from vla_core.chunking import scheduler_for
from vla_core.embodiment import load_embodiment
from vla_core.errors import ChunkError
from vla_core.execution import Executor, ExecutorState, Output
from vla_core.execution.policy_watch import PolicyWatch
from vla_core.execution.robot_watch import RobotWatch
from vla_core.kinematics import region_of
from vla_core.strategies import Strategy
from vla_policy_node.ros.ledgers import LedgerTopics
from vla_policy_node.ros.services import CommandServices
from vla_policy_node.ros.status import CommandStatusTopic
from vla_ros import names, params, qos
from vla_ros.codecs.chunks import chunk_from
from vla_ros.host import NodeHost
from vla_ros.lifecycle import run_managed_node
from vla_ros.robot.human import HumanTopics
from vla_ros.robot.sinks import GripperSink, arm_sink
from vla_ros.time import to_ns
from vla_ros.transport import avoid_shared_memory

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
    realtime_priority: Annotated[int, Constraint(ge=0, le=98)] = field(
        default=40,
        metadata={
            "doc": "SCHED_FIFO priority of the control loop, where permitted; the process that streams commands has one "
            "more; 0: the usual scheduling"
        },
    )


class CommandNode:
    """Takes chunks, ticks the executor, sends what it decides."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host
        self._parameters = params.declare(host.node, CommandParameters)
        self._embodiment = load_embodiment(Path(self._parameters.embodiment))
        given = self._parameters
        scheduler = scheduler_for(given.strategy, given.roughness, given.ensembling_coefficient)
        self._executor = Executor(self._embodiment, scheduler, region_of(self._embodiment))
        self._executor.deactivate()
        self._executor.set_speed(given.speed, 0)
        self._watch = RobotWatch(self._embodiment)
        self._policy_watch = PolicyWatch()
        gripper = self._embodiment.gripper
        self._gripper = GripperSink(host, gripper) if gripper else None
        self._last: Output | None = None  # what the arm comes to rest by, after it was disarmed
        motion = self._embodiment.motion
        decisions = host.every(motion.decision_period_ns, self._on_tick)
        self._arm = arm_sink(host, self._embodiment, self._executor.axes.space, given.realtime_priority)
        self._ticks = self._arm.ticks or decisions
        self._status = CommandStatusTopic(host, self._executor, given.strategy, self._ticks)
        host.subscribe(ActionChunk, names.ACTION_CHUNK, self._on_chunk, qos.command())
        host.subscribe(PolicyStatus, names.POLICY_STATUS, self._on_policy_status, qos.latched())
        HumanTopics(host, self._embodiment, self._executor)
        self._services = CommandServices(
            host,
            self._embodiment,
            self._executor,
            self._watch,
            self._gripper,
            lambda: self._status.publish(host.clock.now_ns()),
            self._stop_and_disarm,
        )
        self._ledgers = LedgerTopics(host, self._executor)
        if self._gripper:
            host.every(_GRIPPER_NS, self._announce_gripper)
        host.keep_time(given.realtime_priority)
        self._status.publish(host.clock.now_ns())

    def activate(self) -> None:
        """From now on the arm may be armed."""
        self._executor.activate()
        self._status.publish(self._host.clock.now_ns())

    def deactivate(self) -> None:
        """Brings the arm to rest; it may not be armed any more."""
        self._stop_and_disarm()
        self._executor.deactivate()
        self._status.publish(self._host.clock.now_ns())

    def close(self) -> None:
        """Leaves the arm to come to rest."""
        self._stop_and_disarm()

    # -- messages, services and timers: each converts, calls the executor, and sends -----------------------------------

    def _on_chunk(self, message: ActionChunk, receive_ns: int) -> None:
        before = self._executor.state
        try:
            try:
                chunk = chunk_from(message, self._embodiment.action_units)
            except ChunkError as error:
                self._executor.malformed(error)
                raise
            self._executor.submit(chunk, self._host.clock.now_ns())
            self._ledgers.received(chunk, receive_ns)
        except ChunkError as error:
            self._host.node.get_logger().warning(str(error), throttle_duration_sec=1.0)
        self._log_fault(before)

    def _on_policy_status(self, message: PolicyStatus, receive_ns: int) -> None:
        running = message.state == PolicyStatus.RUNNING
        hindrance = self._policy_watch.hindrance(running, message.message, message.stale_observations)
        self._executor.expect_chunks(running, hindrance, to_ns(message.header.stamp))

    def _on_tick(self, now_ns: int) -> None:
        before = self._executor.state
        if self._executor.commanding and (found := self._arm.fault(now_ns) or self._watch.check(now_ns)):
            self._executor.fault(found)
        output = self._executor.tick(now_ns)
        if output is not None:
            if self._send(output, now_ns):
                self._ledgers.planned(output.smoothed, now_ns)
            self._status.note(output.smoothed.plan, now_ns)
        self._log_fault(before)
        if self._last is not None:
            self._come_to_rest(self._last, now_ns)

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
            self._executor.counters.commands_sent += self._arm.send(
                output.smoothed.plan, output.smoothed.changed, now_ns
            )
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
            self._last = output
        self._executor.disarm()

    def _come_to_rest(self, last: Output, now_ns: int) -> None:
        """Goes on with the last plan where that is told bit by bit, and then gives the controllers back."""
        if last.send and self._executor.commanded_at(now_ns) is None:
            self._executor.counters.commands_sent += self._arm.send(last.smoothed.plan, False, now_ns)
        if now_ns > last.smoothed.plan.end_ns:
            self._last = None
            self._services.give_back_controllers()

    def _log_fault(self, before: ExecutorState) -> None:
        if self._executor.state is ExecutorState.FAULT and before is not ExecutorState.FAULT:
            self._host.node.get_logger().error(f"fault: {self._executor.message}")
            self._status.publish(self._host.clock.now_ns())


def main() -> int:
    avoid_shared_memory()
    return run_managed_node("command_node", CommandNode)


if __name__ == "__main__":
    sys.exit(main())
