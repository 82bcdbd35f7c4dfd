"""What a command_node and its stream of commands say to each other: one datagram for each plan, and for each report."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

import numpy as np

from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import Array

_PLAN = struct.Struct("<II")  # knots, axes; then the origin, times, positions, velocities, accelerations
_REPORT = struct.Struct("<QQI")  # commands, missed deadlines, ticks; then their lateness, and the problem
LARGEST = 1 << 18  # bytes of a datagram


@dataclass(frozen=True, eq=False)
class Report:
    """What the stream says of itself: twenty times a second, or sooner.

    Attributes:
        told: commands since it began.
        missed: deadlines since it began at which nothing was done.
        late_ns: (k,) how late the ticks since the last report were [ns].
        problem: why it tells nothing any more; empty while all is well.
    """

    told: int
    missed: int
    late_ns: list[int]
    problem: str


def received(channel: socket.socket) -> bytes | None:
    """The next datagram of a socket that does not block; None: there is none yet; empty: the other side is gone."""
    try:
        return channel.recv(LARGEST)
    except BlockingIOError:
        return None
    except ConnectionError:
        return b""


def plan_to_bytes(plan: MotionPlan, origin: Array) -> bytes:
    """A plan, and what its Cartesian axes are told from (3, 3)."""
    parts = (plan.positions, plan.velocities, plan.accelerations)
    rows = [np.ascontiguousarray(part, dtype=np.float64).tobytes() for part in (origin, *parts)]
    rows.insert(1, np.ascontiguousarray(plan.times_ns, dtype=np.int64).tobytes())
    return _PLAN.pack(*plan.positions.shape) + b"".join(rows)


def plan_from_bytes(data: bytes) -> tuple[MotionPlan, Array]:
    """Undoes :func:`plan_to_bytes`."""
    knots, axes = _PLAN.unpack_from(data)
    numbers = np.frombuffer(data, dtype=np.float64, offset=_PLAN.size)
    times_ns = np.frombuffer(data, dtype=np.int64, offset=_PLAN.size)[9 : 9 + knots]
    parts = numbers[9 + knots :].reshape(3, knots, axes)
    return MotionPlan(times_ns, *parts), numbers[:9].reshape(3, 3)


def report_to_bytes(report: Report) -> bytes:
    late_ns = np.array(report.late_ns, dtype=np.int64)
    return _REPORT.pack(report.told, report.missed, len(late_ns)) + late_ns.tobytes() + report.problem.encode()


def report_from_bytes(data: bytes) -> Report:
    """Undoes :func:`report_to_bytes`."""
    told, missed, count = _REPORT.unpack_from(data)
    end = _REPORT.size + 8 * count
    late_ns = np.frombuffer(data[_REPORT.size : end], dtype=np.int64)
    return Report(told, missed, late_ns.tolist(), data[end:].decode())
