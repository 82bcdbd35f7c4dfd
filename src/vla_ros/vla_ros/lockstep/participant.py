"""The pacer of a node that takes part in a lockstep run."""

from __future__ import annotations

from rclpy.node import Node
from vla_msgs.msg import LockstepAck, LockstepRoster, LockstepTick

from vla_core.clocks import ManualClock
from vla_ros import qos
from vla_ros.data_topics import DataTopic
from vla_ros.host import NodeHost
from vla_ros.lockstep import roster
from vla_ros.time import to_ns

_WAIT_NS = 20_000_000


class LockstepParticipant:
    """Delivers exactly the messages of a tick, fires the timers due at its time, and acknowledges."""

    holds_back = True

    def __init__(self, node: Node) -> None:
        self.clock = ManualClock()
        self._node = node
        self._tick: LockstepTick | None = None
        self._total: LockstepRoster | None = None
        self._matched = False

    def start(self, host: NodeHost) -> None:
        self._data: list[DataTopic] = list(host.topics)
        self._publishers = list(host.publishers)
        self._ack = self._node.create_publisher(LockstepAck, roster.ACK_TOPIC, qos.latched(roster.DEPTH))
        self._roster = self._node.create_publisher(LockstepRoster, roster.ROSTER_TOPIC, qos.latched())
        self._control = [
            host.subscribe(LockstepTick, roster.TICK_TOPIC, self._on_tick, qos.latched(roster.DEPTH)),
            host.subscribe(LockstepRoster, roster.TOTAL_TOPIC, self._on_total, qos.latched()),
        ]
        self._roster.publish(roster.roster_of(self._node.get_name(), self._data, self._publishers))

    def turn(self, host: NodeHost) -> None:
        host.wait(_WAIT_NS)
        host.run_jobs()
        for entry in host.topics:
            entry.take()
        for entry in self._control:
            entry.deliver(self._now)
        if not self._matched:
            self._match()
        if self._matched and self._tick is not None:
            self._try_to_work(host, self._tick)

    def _now(self, received_ns: int) -> int:
        """Simulated time stands still while messages are on their way."""
        return self.clock.now_ns()

    def _match(self) -> None:
        if self._total is not None and not roster.unmatched(self._total, self._data, self._publishers):
            self._matched = True
            for publisher in self._publishers:
                publisher.release()

    def _try_to_work(self, host: NodeHost, tick: LockstepTick) -> None:
        """Does the work of a tick if all its messages are here."""
        published = dict(zip(tick.topics, tick.counts, strict=True))
        # a topic that no participant publishes is outside of the lockstep: taken as it comes
        due = [(entry, published.get(entry.topic, entry.taken)) for entry in self._data]
        if any(entry.taken < count for entry, count in due):
            return
        self._tick = None
        now_ns = to_ns(tick.time)
        self.clock.set_ns(now_ns)
        for entry, count in due:
            entry.deliver(self._now, count - entry.delivered)
        for timer in host.timers:
            timer.fire(now_ns)
        while host.pending_calls and not host.stopped:
            host.wait(_WAIT_NS)
            host.run_jobs()
        self._acknowledge(tick.sequence)

    def _acknowledge(self, sequence: int) -> None:
        self._ack.publish(
            LockstepAck(
                sequence=sequence,
                participant=self._node.get_name(),
                topics=[publisher.topic for publisher in self._publishers],
                counts=[publisher.count for publisher in self._publishers],
            )
        )

    def _on_tick(self, message: LockstepTick, receive_ns: int) -> None:
        self._tick = message

    def _on_total(self, message: LockstepRoster, receive_ns: int) -> None:
        self._total = message
