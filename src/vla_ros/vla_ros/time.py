"""ROS times and durations to integer nanoseconds and back."""

from __future__ import annotations

from builtin_interfaces.msg import Duration, Time

_SECOND_NS = 1_000_000_000


def to_ns(time: Time | Duration) -> int:
    """Nanoseconds of a ``Time`` or ``Duration`` message."""
    return int(time.sec) * _SECOND_NS + int(time.nanosec)


def to_time(stamp_ns: int) -> Time:
    sec, nanosec = divmod(stamp_ns, _SECOND_NS)
    return Time(sec=sec, nanosec=nanosec)


def to_duration(duration_ns: int) -> Duration:
    sec, nanosec = divmod(duration_ns, _SECOND_NS)
    return Duration(sec=sec, nanosec=nanosec)
