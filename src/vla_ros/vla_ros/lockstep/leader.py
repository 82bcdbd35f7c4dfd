"""The pacer of the simulator in a lockstep run: it owns the time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event

from rclpy.node import Node
from vla_msgs.msg import LockstepAck, LockstepRoster, LockstepTick

from vla_core.clocks import ManualClock
from vla_ros import qos
from vla_ros.data_topics import DataTopic
from vla_ros.host import NodeHost
from vla_ros.lockstep import roster
from vla_ros.lockstep.roster import LockstepError
from vla_ros.time import to_time

_WAIT_NS = 20_000_000


@dataclass
class Span:
    """A stretch of simulated time that somebody asked to be run.

    until_ns: when it ends at the latest [ns]. stop: ends it earlier when true. finished: set when it is over.
    """

    until_ns: int
    stop: Callable[[], bool]
    finished: Event = field(default_factory=Event)
    error: str = ""


class LockstepLeader:
    """Runs simulated time in ticks while a span is asked for, and stands still otherwise.

    Args:
        node: the simulator's node.
        participants: names of the nodes that must take part.
        tick_ns: simulated time between two ticks [ns].
        answer_s: how long a participant may take for a tick, in real time [s].
        start_ns: simulated time at the start [ns]; not 0, because a stamp of 0 means "now" to a controller.
    """

    holds_back = True

    def __init__(
        self,
        node: Node,
        participants: Sequence[str],
        tick_ns: int,
        answer_s: float = 60.0,
        start_ns: int = 1_000_000_000,
    ) -> None:
        self.clock = ManualClock(start_ns)
        self._node = node
        self._participants = tuple(participants)
        self._tick_ns = tick_ns
        self._answer_s = answer_s
        self._sequence = 0
        self._rosters: dict[str, LockstepRoster] = {}
        self._acks: dict[str, LockstepAck] = {}
        self._span: Span | None = None
        self._ready = False

    # -- what the simulator asks for ----------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self._span is not None

    def run(self, span: Span) -> None:
        """Begins a span; the loop works on it, ``span.finished`` is set when it is over. Refused while one is running."""
        if self._span is not None:
            raise LockstepError("the simulation is running already; expected it to be paused")
        self._span = span

    # -- the pacer ------------------------------------------------------------------------------------------------------

    def start(self, host: NodeHost) -> None:
        self._data: list[DataTopic] = list(host.topics)
        self._publishers = list(host.publishers)
        self._tick = self._node.create_publisher(LockstepTick, roster.TICK_TOPIC, qos.latched(roster.DEPTH))
        self._total = self._node.create_publisher(LockstepRoster, roster.TOTAL_TOPIC, qos.latched())
        self._control = [
            host.subscribe(LockstepAck, roster.ACK_TOPIC, self._on_ack, qos.latched(roster.DEPTH)),
            host.subscribe(
                LockstepRoster, roster.ROSTER_TOPIC, self._on_roster, qos.latched(len(self._participants) + 1)
            ),
        ]

    def turn(self, host: NodeHost) -> None:
        if not self._ready or self._span is None:
            self._take(host)
            self._ready = self._ready or self._begin(host)
            return
        try:
            self._advance(host)
            self._barrier(host)
        except LockstepError as error:
            self._node.get_logger().error(str(error))
            self._end_span(str(error))
            return
        if self.clock.now_ns() >= self._span.until_ns or self._span.stop():
            self._end_span("")

    def _begin(self, host: NodeHost) -> bool:
        """Tells everybody the sum of the rosters once all are there, and runs the first tick, in which nothing happens."""
        if any(name not in self._rosters for name in self._participants):
            return False
        own = roster.roster_of(self._node.get_name(), self._data, self._publishers)
        total = roster.total_of([own, *(self._rosters[name] for name in self._participants)])
        self._total.publish(total)
        while roster.unmatched(total, self._data, self._publishers) and not host.stopped:
            self._take(host)
        for publisher in self._publishers:
            publisher.release()
        self._barrier(host)
        self._node.get_logger().info(f"lockstep with {', '.join(self._participants) or 'nobody'}")
        return True

    def _advance(self, host: NodeHost) -> None:
        now_ns = self.clock.now_ns() + self._tick_ns
        self.clock.set_ns(now_ns)
        for timer in host.timers:
            timer.fire(now_ns)

    def _barrier(self, host: NodeHost) -> None:
        """One tick: announces it, waits for every acknowledgement, and handles what was published meanwhile."""
        self._publish_tick()
        deadline = time.monotonic() + self._answer_s
        while (late := self._late()) and not host.stopped:
            self._take(host)
            if time.monotonic() > deadline:
                raise LockstepError(
                    f"lockstep: {', '.join(late)} did not answer tick {self._sequence} within {self._answer_s:.0f} s"
                )
        due = self._counts()
        counted = [(entry, due.get(entry.topic, 0)) for entry in self._data]
        while any(entry.taken < count for entry, count in counted) and not host.stopped:
            self._take(host)
        for entry, count in counted:
            entry.deliver(self._now, (count or entry.taken) - entry.delivered)
        self._sequence += 1

    def _publish_tick(self) -> None:
        counts = self._counts()
        self._tick.publish(
            LockstepTick(
                sequence=self._sequence,
                time=to_time(self.clock.now_ns()),
                topics=list(counts),
                counts=list(counts.values()),
            )
        )

    def _counts(self) -> dict[str, int]:
        """Messages published on each topic since the start, by everybody, as far as they have told."""
        counts: Counter[str] = Counter()
        for publisher in self._publishers:
            counts[publisher.topic] += publisher.count
        for ack in self._acks.values():
            for topic, count in zip(ack.topics, ack.counts, strict=True):
                counts[topic] += count
        return dict(counts)

    def _late(self) -> list[str]:
        """Participants that have not acknowledged the current tick."""
        acks = self._acks
        return [name for name in self._participants if name not in acks or acks[name].sequence != self._sequence]

    def _take(self, host: NodeHost) -> None:
        host.wait(_WAIT_NS)
        host.run_jobs()
        for entry in host.topics:
            entry.take()
        for entry in self._control:
            entry.deliver(self._now)

    def _now(self, received_ns: int) -> int:
        """Simulated time stands still while messages are on their way."""
        return self.clock.now_ns()

    def _end_span(self, error: str) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.error = error
            span.finished.set()

    def _on_ack(self, message: LockstepAck, receive_ns: int) -> None:
        self._acks[message.participant] = message

    def _on_roster(self, message: LockstepRoster, receive_ns: int) -> None:
        self._rosters[message.participant] = message
