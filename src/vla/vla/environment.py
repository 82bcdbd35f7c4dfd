"""Environment variables for the processes of the suite, and ROS domains that nobody else uses. Neither ROS nor numbers."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from vla.paths import config_folder
from vla_core.errors import VlaError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_DDS_PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
_SHARED_MEMORY = "/dev/shm"
_LEAST_SHARED_MEMORY = 1 << 30  # some ten processes of 32 MB each, and others; a container often has 64 MB in all [B]

# RTPS 2.5, section 9.6.2.3: the first participant of a domain on a machine receives at these ports
_RTPS_PORT_BASE = 7400
_RTPS_DOMAIN_GAIN = 250
_RTPS_UNICAST_OFFSETS = (10, 11)
_DOMAINS = range(1, 101)  # above 101 the ports meet Linux's ephemeral ones; 0 is everybody's default
_RESERVATION_PORT_BASE = 32768  # the port that ROS's own domain_coordinator takes for a domain: both respect each other


class NoFreeDomain(VlaError):
    """Every ROS domain of this machine is in use."""


def child_environment(
    base: Mapping[str, str] | None = None, *, domain_id: int | None = None, threads: int | None = 1
) -> dict[str, str]:
    """The environment for a process of the suite. What the user has set stays, except for the domain.

    Args:
        base: what to start from; the environment of this process if None.
        domain_id: the ROS domain; that of ``base`` if None.
        threads: threads of the numeric libraries; several processes with a thread per core each would only
            take the cores from each other. None leaves it to the libraries.
    """
    environment = dict(os.environ if base is None else base)
    environment.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")  # nothing listens beyond this machine unasked
    environment.setdefault("MUJOCO_GL", "egl")  # renders without a display
    if not any(name in environment for name in _DDS_PROFILES) and _shared_memory_free() >= _LEAST_SHARED_MEMORY:
        environment[_DDS_PROFILES[0]] = str(config_folder() / "dds" / "large_images.xml")
    if threads is not None:
        for name in _THREAD_VARIABLES:
            environment.setdefault(name, str(threads))
    if domain_id is not None:
        environment["ROS_DOMAIN_ID"] = str(domain_id)
    return environment


def _shared_memory_free() -> int:
    try:
        disk = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize


@contextmanager
def reserved_domain_id() -> Iterator[int]:
    """A ROS domain that nobody on this machine uses, reserved while the block runs.

    Raises:
        NoFreeDomain: all are taken.
    """
    first = os.getpid() % len(_DOMAINS)  # so that processes started together do not all try the same one first
    for domain_id in (*_DOMAINS[first:], *_DOMAINS[:first]):
        reservation = _bind(socket.SOCK_STREAM, _RESERVATION_PORT_BASE + domain_id)
        if reservation is None:
            continue
        with reservation:
            if _is_silent(domain_id):
                yield domain_id
                return
    raise NoFreeDomain(f"expected a free ROS domain among {_DOMAINS.start} to {_DOMAINS.stop - 1}, found all in use")


def _is_silent(domain_id: int) -> bool:
    """Whether no DDS participant of the domain receives on this machine."""
    for offset in _RTPS_UNICAST_OFFSETS:
        probe = _bind(socket.SOCK_DGRAM, _RTPS_PORT_BASE + _RTPS_DOMAIN_GAIN * domain_id + offset)
        if probe is None:
            return False
        probe.close()
    return True


def _bind(kind: socket.SocketKind, port: int) -> socket.socket | None:
    """A socket bound to a port, or None where it is taken."""
    bound = socket.socket(socket.AF_INET, kind)
    try:
        bound.bind(("", port))
    except OSError as error:
        bound.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return bound
