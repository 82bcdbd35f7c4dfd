"""Ledgers of latency to messages and back."""

from __future__ import annotations

from array import array

from vla_msgs.msg import ChunkLedger
from vla_msgs.msg import LatencyLedger as LatencyLedgerMessage

from vla_core.chunk_times import STATIONS, ChunkTimes
from vla_core.latency_ledger import LatencyLedger
from vla_ros.time import to_ns, to_time


def chunk_ledger_message(times: ChunkTimes) -> ChunkLedger:
    stamps = {name: to_time(stamp_ns) for name, stamp_ns in zip(STATIONS, times.stations_ns, strict=True)}
    return ChunkLedger(policy_id=times.policy_id, sequence=times.sequence, **stamps)


def chunk_times_from(message: ChunkLedger) -> ChunkTimes:
    stamps = {name: to_ns(getattr(message, name)) for name in STATIONS}
    return ChunkTimes(policy_id=message.policy_id, sequence=message.sequence, **stamps)


def latency_ledger_message(ledger: LatencyLedger, now_ns: int) -> LatencyLedgerMessage:
    found = [ledger.latency(stage) for stage in ledger.stages]
    message = LatencyLedgerMessage(
        stages=list(ledger.stages),
        edges_ms=array("d", ledger.edges_ms),
        counts=array("Q", ledger.counts.reshape(-1).tolist()),
        p50_ms=array("d", [stage.p50_ms for stage in found]),
        p95_ms=array("d", [stage.p95_ms for stage in found]),
        p99_ms=array("d", [stage.p99_ms for stage in found]),
        max_ms=array("d", [stage.max_ms for stage in found]),
    )
    message.header.stamp = to_time(now_ns)
    return message
