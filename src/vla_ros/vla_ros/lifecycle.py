"""A node with ROS 2's managed lifecycle, for an application that must not act before it is told to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Protocol

import rclpy
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from vla_core.errors import VlaError
from vla_ros import host as ros_host
from vla_ros.host import NodeHost
from vla_ros.nodes import pacer_for


class Managed(Protocol):
    """An application that is built when its node is configured."""

    def activate(self) -> None:
        """From now on it may act."""
        ...

    def deactivate(self) -> None:
        """It comes to rest, and does not act any more."""
        ...

    def close(self) -> None:
        """Ends cleanly, also while it is active."""
        ...


class ManagedNode(LifecycleNode):  # type: ignore[misc]
    """``unconfigured → inactive → active`` and back, as transitions of one application.

    ::

        configure   builds the application: its parameters are read, its topics and services exist
        activate    it may act
        deactivate  it comes to rest
        cleanup     it is closed; whatever it made is gone

    Args:
        name: of the node.
        build: makes the application on a host.
        arguments: ROS arguments besides those of the process.
    """

    def __init__(self, name: str, build: Callable[[NodeHost], Managed], arguments: Sequence[str] = ()) -> None:
        super().__init__(name, cli_args=list(arguments))
        lockstep = self.declare_parameter("lockstep", False).value
        self.host = NodeHost(self, pacer_for(self, lockstep))
        self.problem = ""
        self._build = build
        self._application: Managed | None = None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._done(lambda: self._keep(self._build(self.host)))

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._done(lambda: self._existing.activate())

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._done(lambda: self._existing.deactivate())

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._done(self.close)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._done(self.close)

    def close(self) -> None:
        """Closes the application, if there is one, and undoes what it made. In the loop, or when that has stopped."""
        if self._application is not None:
            self._application.close()
            self._application = None
        self.host.forget()

    @property
    def _existing(self) -> Managed:
        if self._application is None:
            raise RuntimeError("a transition that needs an application came before configure")
        return self._application

    def _keep(self, application: Managed) -> None:
        self._application = application

    def _done(self, work: Callable[[], None]) -> TransitionCallbackReturn:
        """Does it in the loop, where all handlers run; before the loop has begun, here."""
        try:
            self.host.in_loop(work) if self.host.running else work()
        except VlaError as error:
            self.problem = str(error)
            self.get_logger().fatal(str(error))
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS


def run_managed_node(name: str, build: Callable[[NodeHost], Managed]) -> int:
    """Runs a managed node until a signal ends it; with its parameter ``autostart``, true by default, it is active at once.

    Returns:
        The exit status: 0, or 1 after an error that the user can mend, which is logged as one message.
    """
    ros_host.init()
    node = ManagedNode(name, build)
    ros_host.stop_on_signals(node.host)
    try:
        if node.declare_parameter("autostart", True).value:
            for transition in (node.trigger_configure, node.trigger_activate):
                if transition() is not TransitionCallbackReturn.SUCCESS:
                    print(f"{name}: {node.problem}", file=sys.stderr)
                    return 1
        node.host.run()
    finally:
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
