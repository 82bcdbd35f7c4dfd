"""The loop that tells a controller where to be: on deadlines, however late the system wakes it."""

from __future__ import annotations

import socket
import threading

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState

from vla_core.clocks import SteadyWallClock
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import State
from vla_core.ports import Clock
from vla_ros.idle_states import IdleStates
from vla_ros.punctual import head_start_ns, sleep_until, watch_until
from vla_ros.robot import stream_process
from vla_ros.robot import stream_wire as wire
from vla_ros.robot.stream_process import Setup, Streaming
from vla_ros.time import to_ns

pytestmark = pytest.mark.ros
MS = 1_000_000
PERIOD_NS = 50 * MS  # of which it may miss five
NAMES = ["one", "two"]


class Awake(IdleStates):
    """Remembers what was wanted, and leaves the processors alone."""

    def __init__(self) -> None:
        self.wanted: list[bool] = []

    def permit(self, asleep: bool) -> None:
        self.wanted.append(not asleep)


class Controller:
    """Hears commands, with until when the clock was watched for them, and when they came [ns]."""

    def __init__(self) -> None:
        self.clock = SteadyWallClock()
        self.watched_ns = 0  # until when the sender watched the clock last
        self.heard: list[tuple[int, int, JointState]] = []

    def hear(self, data: bytes) -> None:
        self.heard.append((self.watched_ns, self.clock.now_ns(), deserialize_message(data, JointState)))


def test_commands_are_for_deadlines_and_sent_at_them_and_the_processors_are_awake_for_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    woken_ns: list[int] = []

    def sleep_and_remember(due_ns: int, clock: Clock) -> int:
        woken_ns.append(due_ns % PERIOD_NS)
        return sleep_until(due_ns, clock)

    def watch_and_remember(due_ns: int, clock: Clock) -> None:
        watch_until(due_ns, clock)
        controller.watched_ns = due_ns

    monkeypatch.setattr(stream_process, "sleep_until", sleep_and_remember)
    monkeypatch.setattr(stream_process, "watch_until", watch_and_remember)
    controller, awake = Controller(), Awake()
    clock = controller.clock
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    setup = Setup(
        "stream", "/", "joint_impedance", "/told", NAMES, "base", PERIOD_NS, clock.offset_ns, 0, theirs.fileno()
    )
    begin_ns = clock.now_ns() + 300 * MS
    ends = [State.at_rest(np.zeros(2)), State.at_rest(np.array([0.1, -0.1]))]
    plan = MotionPlan.through([begin_ns, begin_ns + 500 * MS], ends)
    ours.send(wire.plan_to_bytes(plan, np.eye(3)))
    alone = threading.Timer(0.1, ours.close)  # it goes on to the plan's end by itself
    alone.start()
    Streaming(setup, clock, theirs, controller.hear, awake).run()
    alone.join()
    assert len(controller.heard) > 5
    for watched_ns, sent_ns, command in controller.heard:
        meant_ns = to_ns(command.header.stamp)
        assert meant_ns % PERIOD_NS == 0
        assert watched_ns == meant_ns - PERIOD_NS <= sent_ns, "not at its deadline"
        np.testing.assert_array_equal(command.position, plan.state_at(meant_ns).position)
    np.testing.assert_array_equal(controller.heard[-1][2].position, [0.1, -0.1])
    assert PERIOD_NS - head_start_ns(PERIOD_NS) in woken_ns, "not before its deadlines"
    assert True in awake.wanted
    assert awake.wanted[-1] is False
