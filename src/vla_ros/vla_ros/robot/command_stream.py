"""Commands for a controller that is told at every control tick where to be: from a process of their own, or in lockstep."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Protocol

import numpy as np

from vla_core.action_spaces import CommandSpace
from vla_core.action_spaces.cartesian import CartesianPoses
from vla_core.clocks import SteadyWallClock
from vla_core.embodiment import Embodiment
from vla_core.errors import LimitError
from vla_core.execution.faults import Fault, FaultName
from vla_core.execution.lateness import LatenessMeter
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import Array
from vla_core.motion.streaming import PlanStream
from vla_ros import qos
from vla_ros.host import NodeHost
from vla_ros.robot import stream_wire as wire
from vla_ros.robot.state_messages import STATE_MESSAGES, Meaning
from vla_ros.robot.stream_process import Setup

_STARTS_S = 60.0
_ENDS_S = 10.0
_LISTEN_NS = 10_000_000


class Ticks(Protocol):
    """What is known of ticks: how late they were, and how many deadlines were missed."""

    lateness: LatenessMeter
    missed: int


class StreamInLoop:
    """The stream of commands in the node's loop, for lockstep, where nothing is late.

    Args:
        host: of the node.
        embodiment: has the control rate and the controller.
        space: whose axes the plans have.
        frame: in which poses are told.
    """

    def __init__(self, host: NodeHost, embodiment: Embodiment, space: CommandSpace, frame: str) -> None:
        messages = STATE_MESSAGES[embodiment.arm.kind]
        self._space = space
        self._frame = frame
        self._stream = PlanStream(embodiment.motion.control_period_ns)
        self._plan: MotionPlan | None = None
        self._told = 0
        self._message = messages.message
        self._publisher = host.publisher(messages.type, _topic(embodiment), qos.command())
        self.ticks: Ticks | None = host.every(embodiment.motion.control_period_ns, self._tick)

    def send(self, plan: MotionPlan, changed: bool, now_ns: int) -> int:
        if plan is not self._plan:
            self._plan = plan
            self._stream.follow(plan, now_ns)
        before, self._told = self._told, self._stream.told
        return self._told - before

    def fault(self, now_ns: int) -> Fault | None:
        return _lost(self._stream.problem)

    def _tick(self, now_ns: int) -> None:
        if (told := self._stream.next(now_ns)) is not None:
            meaning = Meaning(tuple(self._space.names), self._frame, origin_of(self._space))
            self._publisher.publish(self._message(*told, meaning))


class StreamProcess:
    """The stream of commands in a process of its own, for real time: neither plans nor messages can make it late.

    Args:
        host: of the node.
        embodiment: has the control rate, the controller, and how long that may hear nothing.
        space: whose axes the plans have.
        frame: in which poses are told.
        priority: of SCHED_FIFO for the process; 0: the usual scheduling.

    Raises:
        LimitError: it did not start.
    """

    def __init__(self, host: NodeHost, embodiment: Embodiment, space: CommandSpace, frame: str, priority: int) -> None:
        self._space = space
        self._silence_ns = round(embodiment.safety.controller_timeout_ms * 1e6)
        self._plan: MotionPlan | None = None
        self._told = self._counted = 0
        self._problem = ""  # as it reports it
        self._ended = ""  # with what
        self.lateness = LatenessMeter()
        self.missed = 0
        self.ticks: Ticks | None = self
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        node, clock = host.node, host.clock
        assert isinstance(clock, SteadyWallClock), "the clock of real time"
        setup = Setup(
            node=f"{node.get_name()}_stream",
            namespace=node.get_namespace(),
            kind=embodiment.arm.kind,
            topic=node.resolve_topic_name(_topic(embodiment)),
            names=list(space.names),
            frame=frame,
            period_ns=embodiment.motion.control_period_ns,
            offset_ns=clock.offset_ns,
            priority=min(priority + 1, 99) if priority else 0,
            descriptor=theirs.fileno(),
        )
        with theirs:
            command = [sys.executable, "-m", "vla_ros.robot.stream_process", setup.to_text()]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        host.at_the_end(self.close)
        self._wait_until_it_reports()
        self._heard_ns = host.clock.now_ns()
        host.every(_LISTEN_NS, self._listen)

    def send(self, plan: MotionPlan, changed: bool, now_ns: int) -> int:
        if plan is not self._plan and not self._ended:
            self._plan = plan
            try:
                self._channel.send(wire.plan_to_bytes(plan, origin_of(self._space)))
            except (BlockingIOError, ConnectionError) as error:
                self._plan = None  # to be tried again
                self._problem = f"the process that tells it took no plan ({error})"
        before, self._counted = self._counted, self._told
        return self._counted - before

    def fault(self, now_ns: int) -> Fault | None:
        silent_ns = now_ns - self._heard_ns
        if not self._ended and silent_ns > self._silence_ns:
            return _lost(f"the process that tells it has said nothing for {silent_ns * 1e-6:.0f} ms")
        return _lost(self._ended or self._problem)

    def close(self) -> None:
        """Lets the process tell the last plan to its end, and waits until it has ended."""
        self._channel.close()
        try:
            self._process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:  # it was stopped from outside
            self._process.kill()
            self._process.wait()

    def _listen(self, now_ns: int) -> None:
        while (report := self._report()) is not None:
            self._heard_ns = now_ns
            self._told, self.missed = report.told, report.missed
            self._problem = report.problem
            for late_ns in report.late_ns:
                self.lateness.note(late_ns)

    def _report(self) -> wire.Report | None:
        if self._ended:
            return None
        data = wire.received(self._channel)
        if data:
            return wire.report_from_bytes(data)
        if data is not None:
            self._ended = f"the process that tells it has ended (exit status {self._process.wait()})"
        return None

    def _wait_until_it_reports(self) -> None:
        self._channel.settimeout(_STARTS_S)
        try:
            begun = bool(self._channel.recv(wire.LARGEST))
        except (TimeoutError, ConnectionError):
            begun = False
        self._channel.setblocking(False)
        if not begun:
            self._process.kill()
            raise LimitError(
                f"expected the process that tells the controller where to be to start within {_STARTS_S:.0f} s, "
                f"found exit status {self._process.wait()}"
            )


def origin_of(space: CommandSpace) -> Array:
    """The rotation (3, 3) from which those of Cartesian axes are told."""
    return space.origin if isinstance(space, CartesianPoses) else np.eye(3)


def _topic(embodiment: Embodiment) -> str:
    return embodiment.arm.topic or STATE_MESSAGES[embodiment.arm.kind].topic.format(name=embodiment.arm.name)


def _lost(problem: str) -> Fault | None:
    if not problem:
        return None
    return Fault(FaultName.COMMANDS_LOST, f"the controller is not told where to be any more: {problem}")
