"""Starting and ending a node's process, the same way for every node."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Protocol

import rclpy
from rclpy.node import Node

from vla_core.errors import VlaError
from vla_ros import host as ros_host
from vla_ros.host import NodeHost, Pacer
from vla_ros.lockstep import LockstepParticipant
from vla_ros.real_time import RealTimePacer


class Application(Protocol):
    """What a node does, on a host."""

    def close(self) -> None:
        """Ends cleanly: the loop has stopped, the node still exists."""
        ...


def make_host(name: str, arguments: Sequence[str] = ()) -> NodeHost:
    """A host for a node called ``name``: in lockstep if its parameter ``lockstep`` is true, else in real time.

    Args:
        name: of the node.
        arguments: ROS arguments (``--ros-args -p name:=value``), besides those of the process.
    """
    node = rclpy.create_node(name, cli_args=list(arguments))
    lockstep = node.declare_parameter("lockstep", False).value
    return NodeHost(node, pacer_for(node, lockstep))


def pacer_for(node: Node, lockstep: bool) -> Pacer:
    """What paces a node: a simulation that waits for everybody, or time."""
    return LockstepParticipant(node) if lockstep else RealTimePacer()


def run_node(name: str, build: Callable[[NodeHost], Application], make: Callable[[str], NodeHost] = make_host) -> int:
    """Runs a node until a signal ends it.

    Args:
        name: of the node.
        build: makes the application on the host, and returns it; it is closed at the end.
        make: makes the host.

    Returns:
        The exit status: 0, or 1 after an error that the user can mend, which is logged as one message.
    """
    ros_host.init()
    host = make(name)
    ros_host.stop_on_signals(host)
    application: Application | None = None
    try:
        application = build(host)
        host.run()
    except VlaError as error:
        host.node.get_logger().fatal(str(error))
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    finally:
        if application is not None:
            application.close()
        host.node.destroy_node()
        rclpy.try_shutdown()
    return 0
