"""The node host: messages, timers and services in one loop, in real time and in lockstep, over real DDS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from std_msgs.msg import Int64  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from vla_ros import host as ros_host  # noqa: E402
from vla_ros import qos  # noqa: E402
from vla_ros.host import NodeHost  # noqa: E402
from vla_ros.lockstep import LockstepLeader, LockstepParticipant  # noqa: E402
from vla_ros.lockstep.leader import Span  # noqa: E402
from vla_ros.real_time import RealTimePacer  # noqa: E402

MS = 1_000_000
pytestmark = pytest.mark.ros


@pytest.fixture(scope="module", autouse=True)
def _ros() -> Iterator[None]:
    ros_host.init()
    yield
    rclpy.shutdown()


class Running:
    """Hosts in threads, stopped and checked at the end of a test."""

    def __init__(self) -> None:
        self._hosts: list[tuple[NodeHost, threading.Thread]] = []

    def start(self, host: NodeHost) -> None:
        thread = threading.Thread(target=host.run, name=host.node.get_name())
        thread.start()
        self._hosts.append((host, thread))

    def stop(self) -> None:
        for host, _ in self._hosts:
            host.stop()
        for host, thread in self._hosts:
            thread.join(10)
            assert not thread.is_alive()
            host.node.destroy_node()


@pytest.fixture
def running() -> Iterator[Running]:
    hosts = Running()
    yield hosts
    hosts.stop()


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


def test_messages_timers_and_services_run_in_one_loop(running: Running) -> None:
    server = NodeHost(rclpy.create_node("server"), RealTimePacer())
    threads: set[int] = set()
    values: list[int] = []

    def note(value: int) -> None:
        threads.add(threading.get_ident())
        values.append(value)

    def serve(request: object, response: Trigger.Response) -> Trigger.Response:
        note(-1)
        response.success = True
        return response

    server.subscribe(Int64, "numbers", lambda message, _: note(message.data), qos.stream())
    timer_runs: list[int] = []
    server.every(20 * MS, lambda now_ns: timer_runs.append(threading.get_ident()))
    server.service(Trigger, "press", serve)
    running.start(server)

    other = rclpy.create_node("other")
    publisher = other.create_publisher(Int64, "numbers", qos.stream())
    client = other.create_client(Trigger, "press")
    eventually(lambda: publisher.get_subscription_count() == 1 and client.service_is_ready())
    for value in range(50):
        publisher.publish(Int64(data=value))
    future = client.call_async(Trigger.Request())
    eventually(lambda: (rclpy.spin_once(other, timeout_sec=0.01), future.done())[1])
    eventually(lambda: len(values) == 51 and len(timer_runs) > 2)
    assert future.result().success
    assert sorted(values) == list(range(-1, 50))
    assert [value for value in values if value >= 0] == list(range(50))
    assert len(threads | set(timer_runs)) == 1
    other.destroy_node()


def test_a_missed_deadline_is_counted_and_not_caught_up() -> None:
    fired: list[int] = []
    timer = ros_host.Timer(10, fired.append)
    for now in (0, 5, 10, 47, 48, 50):
        timer.fire(now)
    assert fired == [0, 10, 47, 50]
    assert timer.missed == 2  # 20 and 30 were never served, 40 was served at 47


def test_how_late_a_timer_was_is_told() -> None:
    timer = ros_host.Timer(10, lambda now_ns: None)
    assert [timer.fire(now) for now in (0, 5, 10, 47)] == [0, None, 0, 27]


def echo_chain(running: Running, seed: int, ticks: int) -> list[tuple[int, int, int]]:
    """Runs source (leader) -> doubler -> adder in lockstep with random delays in every handler.

    Returns what the adder saw in each tick: time, newest number of the source, newest number of the doubler.
    """
    delays = np.random.default_rng(seed)

    def dawdle() -> None:
        time.sleep(float(delays.uniform(0, 0.003)))

    leader_node = rclpy.create_node("source")
    leader = LockstepLeader(leader_node, ["doubler", "adder"], tick_ns=10 * MS)
    source = NodeHost(leader_node, leader)
    numbers = source.publisher(Int64, "numbers", qos.stream(100))
    source.every(10 * MS, lambda now_ns: [numbers.publish(Int64(data=now_ns // MS + k)) for k in range(3)])

    doubler = NodeHost(node := rclpy.create_node("doubler"), LockstepParticipant(node))
    doubled = doubler.publisher(Int64, "doubled", qos.stream(100))
    doubler.subscribe(
        Int64, "numbers", lambda m, _: (dawdle(), doubled.publish(Int64(data=2 * m.data))), qos.stream(100)
    )

    adder = NodeHost(node := rclpy.create_node("adder"), LockstepParticipant(node))
    newest = {"numbers": 0, "doubled": 0}
    seen: list[tuple[int, int, int]] = []
    for topic in newest:
        adder.subscribe(Int64, topic, lambda m, _, t=topic: (dawdle(), newest.update({t: m.data})), qos.stream(100))
    adder.every(10 * MS, lambda now_ns: seen.append((now_ns, newest["numbers"], newest["doubled"])))

    for host in (source, doubler, adder):
        running.start(host)
    span = Span(leader.clock.now_ns() + ticks * 10 * MS, lambda: False)
    source.in_loop(lambda: leader.run(span))
    assert span.finished.wait(30)
    assert span.error == ""
    eventually(lambda: len(seen) == ticks + 1)
    return seen


def test_lockstep_is_reproducible_whatever_the_delays(running: Running) -> None:
    seen = echo_chain(running, seed=1, ticks=25)
    for (now_ns, number, double), (_, number_before, _) in zip(seen[2:], seen[1:-1], strict=True):
        assert number == now_ns // MS + 2  # everything published up to the tick is there, in order
        assert double == 2 * number_before  # what a participant publishes arrives in the next tick
    running.stop()
    assert echo_chain(running, seed=2, ticks=25) == seen


def test_a_participant_that_dies_ends_the_run_with_its_name(running: Running) -> None:
    node = rclpy.create_node("source")
    leader = LockstepLeader(node, ["walker"], tick_ns=10 * MS, answer_s=0.5)
    source = NodeHost(node, leader)
    walker = NodeHost(other := rclpy.create_node("walker"), LockstepParticipant(other))
    walker.every(10 * MS, lambda now_ns: walker.stop() if now_ns > 1_050 * MS else None)
    running.start(source)
    running.start(walker)
    span = Span(leader.clock.now_ns() + 1000 * MS, lambda: False)
    source.in_loop(lambda: leader.run(span))
    assert span.finished.wait(20)
    assert "walker did not answer tick" in span.error


def test_a_lockstep_stops_where_it_is_told_to(running: Running) -> None:
    node = rclpy.create_node("alone")
    leader = LockstepLeader(node, [], tick_ns=10 * MS)
    host = NodeHost(node, leader)
    running.start(host)
    span = Span(leader.clock.now_ns() + 10_000 * MS, lambda: leader.clock.now_ns() >= 1_200 * MS)
    host.in_loop(lambda: leader.run(span))
    assert span.finished.wait(20)
    assert leader.clock.now_ns() == 1_200 * MS
    assert not leader.running
