"""The process that tells a controller at every control tick where to be: ``python -m vla_ros.robot.stream_process SETUP``.

It has a plan from its command_node, a publisher, and nothing else to do, so that nothing makes it late. When the command_node is
gone, however that went, it tells the plan that it has to its rest, and ends: to a controller of bare commands it is what
joint_trajectory_controller is to one of trajectories.
"""

from __future__ import annotations

import gc
import json
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import rclpy
from rclpy.duration import Duration
from rclpy.serialization import serialize_message

from vla_core.clocks import SteadyWallClock
from vla_core.motion.streaming import PlanStream
from vla_core.ports import Clock
from vla_ros import host as ros_host
from vla_ros import qos, scheduling
from vla_ros.idle_states import IdleStates
from vla_ros.punctual import head_start_ns, sleep_until, watch_until
from vla_ros.robot import stream_wire as wire
from vla_ros.robot.state_messages import STATE_MESSAGES, Meaning
from vla_ros.timer import Timer
from vla_ros.transport import avoid_shared_memory

_REPORT_NS = 50_000_000
_ARRIVES_S = 1.0  # the last command, at its reader


@dataclass(frozen=True)
class Setup:
    """What the process is told at its start.

    Attributes:
        node: its name. namespace: of that.
        kind: of controller, in ``STATE_MESSAGES``.
        topic: that the controller listens to.
        names, frame: as of :class:`vla_ros.robot.state_messages.Meaning`.
        period_ns: from one command to the next [ns].
        offset_ns: of its command_node's clock.
        priority: of SCHED_FIFO; 0: the usual scheduling.
        descriptor: of the socket to its command_node.
    """

    node: str
    namespace: str
    kind: str
    topic: str
    names: list[str]
    frame: str
    period_ns: int
    offset_ns: int
    priority: int
    descriptor: int

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str) -> Setup:
        return Setup(**json.loads(text))


class Streaming:
    """Tells where the plan is, tick by tick, takes new plans, and reports.

    Args:
        setup: of the process.
        clock: that of its command_node.
        channel: to that; not blocking.
        publish: sends a message to the controller.
        idle_states: of the processors, which are kept awake while the arm moves.
    """

    def __init__(
        self,
        setup: Setup,
        clock: Clock,
        channel: socket.socket,
        publish: Callable[[bytes], None],
        idle_states: IdleStates,
    ) -> None:
        self._clock = clock
        self._channel = channel
        self._publish = publish
        self._idle_states = idle_states
        self._head_start_ns = head_start_ns(setup.period_ns)
        self._message = STATE_MESSAGES[setup.kind].message
        self._meaning = Meaning(tuple(setup.names), setup.frame, np.eye(3))
        self._stream = PlanStream(setup.period_ns)
        self._timer = Timer(setup.period_ns, self._tick)
        self._late_ns: list[int] = []
        self._reported_ns = 0
        self._alone = False  # the command_node is gone

    def run(self) -> None:
        """Returns when the command_node is gone and the plan is at rest."""
        self.report(self._clock.now_ns())
        while not (self._alone and self._stream.rests):
            head_start_ns = 0 if self._stream.rests else self._head_start_ns
            now_ns = sleep_until((self._timer.due_ns or 0) - head_start_ns, self._clock)
            self._timer.fire(now_ns + head_start_ns)

    def _tick(self, now_ns: int) -> None:
        """Makes the command of the deadline that was last, or comes in a moment, and sends it then.

        It is for the deadline, not for when the system woke the process: commands are equally far apart.
        """
        due_ns = now_ns - now_ns % self._timer.period_ns
        self._take_plans(due_ns)
        told = self._stream.next(due_ns)
        message = serialize_message(self._message(*told, self._meaning)) if told is not None else None
        watch_until(due_ns, self._clock)
        if message is not None:
            self._publish(message)
        self._late_ns.append(self._clock.now_ns() - due_ns)
        self._idle_states.permit(asleep=self._stream.rests)
        if due_ns - self._reported_ns >= _REPORT_NS or self._stream.problem:
            self.report(due_ns)

    def _take_plans(self, now_ns: int) -> None:
        while data := wire.received(self._channel):
            plan, origin = wire.plan_from_bytes(data)
            self._meaning = Meaning(self._meaning.names, self._meaning.frame, origin)
            self._stream.follow(plan, now_ns)
        self._alone = data is not None

    def report(self, now_ns: int) -> None:
        """Says how it goes; nothing where nobody has taken what it said before."""
        self._reported_ns = now_ns
        stream = self._stream
        try:
            self._channel.send(
                wire.report_to_bytes(wire.Report(stream.told, self._timer.missed, self._late_ns, stream.problem))
            )
        except (BlockingIOError, ConnectionError):
            return
        self._late_ns = []


def main() -> int:
    setup = Setup.from_text(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends behind its command_node, which those end
    channel = socket.socket(fileno=setup.descriptor)
    channel.setblocking(False)
    avoid_shared_memory()
    ros_host.init()
    node = rclpy.create_node(setup.node, namespace=setup.namespace, start_parameter_services=False, enable_rosout=False)
    publisher = node.create_publisher(STATE_MESSAGES[setup.kind].type, setup.topic, qos.command())
    idle_states = IdleStates(wanted=setup.priority > 0)
    scheduled = scheduling.keep_time(setup.priority, middleware_too=True)
    node.get_logger().info(f"commands: {scheduled}, {idle_states}")
    gc.disable()  # what a tick makes has no cycles
    Streaming(setup, SteadyWallClock(setup.offset_ns), channel, publisher.publish, idle_states).run()
    publisher.wait_for_all_acked(Duration(seconds=_ARRIVES_S))
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
