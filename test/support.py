"""Nodes inside of the test's process, and waiting for conditions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from vla.supervisor import ros_arguments
from vla_ros.nodes import make_host


class Nodes:
    """Hosts that run in threads of this process, next to those in processes of their own. A context manager."""

    def __init__(self) -> None:
        self._running: list[tuple[Any, Any, threading.Thread]] = []

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, build: Callable[[Any], Any], **parameters: Any) -> Any:
        """Starts a node with parameters; returns the application that ``build`` made. ROS must run."""
        host = make_host(name, ros_arguments(parameters))
        application = build(host)
        thread = threading.Thread(target=host.run, name=name, daemon=True)
        thread.start()
        self._running.append((host, application, thread))
        return application

    def stop(self) -> None:
        for host, _, _ in self._running:
            host.stop()
        for host, application, thread in self._running:
            thread.join(10)
            assert not thread.is_alive(), f"{thread.name} did not stop"
            application.close()
            host.node.destroy_node()
        self._running.clear()


def eventually(condition: Callable[[], Any], within_s: float = 20.0) -> Any:
    """Waits until a condition is true and returns its value."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)
    return value
