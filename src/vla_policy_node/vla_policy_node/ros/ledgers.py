"""The ledgers that a command_node keeps of the chunks that it executes, on their topics."""

from __future__ import annotations

from vla_msgs.msg import ChunkLedger
from vla_msgs.msg import LatencyLedger as LatencyLedgerMessage

from vla_core.action_chunk import ActionChunk
from vla_core.chunk_times import ChunkFollower
from vla_core.execution import Executor
from vla_core.latency_ledger import LatencyLedger
from vla_core.motion.smoother import Smoothed
from vla_ros import names, qos
from vla_ros.codecs.ledgers import chunk_ledger_message, latency_ledger_message
from vla_ros.host import NodeHost

_PERIOD_NS = 1_000_000_000


class LedgerTopics:
    """Publishes where the time of each chunk went when it is first used, and histograms of that once per second.

    Args:
        host: of the node.
        executor: executes the chunks; with each arming the ledgers begin anew.
    """

    def __init__(self, host: NodeHost, executor: Executor) -> None:
        self._executor = executor
        self._armed: object = None
        self._follower = ChunkFollower()
        self._ledger = LatencyLedger()
        self._chunks = host.publisher(ChunkLedger, names.CHUNK_LEDGER, qos.command(depth=50))
        self._latency = host.publisher(LatencyLedgerMessage, names.LATENCY_LEDGER, qos.latched(depth=1))
        host.every(_PERIOD_NS, self._publish)

    def received(self, chunk: ActionChunk, receive_ns: int) -> None:
        """Takes note of a chunk that was accepted."""
        self._begin_anew_when_armed()
        self._follower.received(chunk, receive_ns)

    def planned(self, smoothed: Smoothed, now_ns: int) -> None:
        """Takes note of what a tick decided and was sent in time."""
        if not smoothed.changed:
            return
        self._begin_anew_when_armed()
        times = self._follower.planned(self._executor.scheduler.ruling, now_ns, smoothed.splice_ns)
        if times is not None:
            self._ledger.note(times)
            self._chunks.publish(chunk_ledger_message(times))

    def _begin_anew_when_armed(self) -> None:
        if self._executor.counters is not self._armed:  # arming makes new ones
            self._armed = self._executor.counters
            self._follower.reset()
            self._ledger.reset()

    def _publish(self, now_ns: int) -> None:
        self._latency.publish(latency_ledger_message(self._ledger, now_ns))
