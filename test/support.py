"""Nodes inside of the test's process, calls to nodes elsewhere, and waiting for conditions."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
import yaml
from rclpy.qos import QoSProfile

from vla.graph import Graph, Value
from vla.ros.operator import Operator
from vla.supervisor import Supervisor, ros_arguments
from vla_core import config
from vla_ros import qos
from vla_ros.host import NodeHost
from vla_ros.lockstep import LockstepLeader
from vla_ros.lockstep.leader import Span
from vla_ros.nodes import make_host

EMBODIMENTS = Path(__file__).parents[1] / "config" / "embodiments"


class Nodes:
    """Hosts that run in threads of this process, next to those in processes of their own. A context manager."""

    def __init__(self) -> None:
        self._running: list[tuple[Any, Any, threading.Thread]] = []

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self,
        name: str,
        build: Callable[[Any], Any],
        namespace: str = "",
        remapped: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> Any:
        """Starts a node with parameters; returns the application that ``build`` made. ROS must run."""
        arguments = ros_arguments(parameters)
        if namespace:
            arguments += ["-r", f"__ns:={namespace}"]
        for ours, theirs in (remapped or {}).items():
            arguments += ["-r", f"{ours}:={theirs}"]
        host = make_host(name, arguments)
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


class Collector:
    """An application that keeps the messages of some topics, and calls services. In lockstep it takes part and misses none.

    Args:
        host: of the node.
        topics: to listen to, with their types.
        services: to call, with their types.
        status: topic that the servers' node latches. Whose status has come, that node knows the clients, which are made
            before: the first answer of a service that does not would be lost.
    """

    def __init__(
        self,
        host: NodeHost,
        topics: Mapping[str, type] | None = None,
        services: Mapping[str, type] | None = None,
        status: tuple[str, type] | None = None,
    ) -> None:
        self.host = host
        self._clients = {name: host.client(kind, name) for name, kind in (services or {}).items()}
        self.messages: dict[str, list[Any]] = {}
        for topic, kind in (topics or {}).items():
            self.listen(topic, kind, qos.stream(5_000))
        self._servers_known = status is None
        if status is not None:
            host.subscribe(status[1], status[0], self._on_status, qos.latched())

    def listen(self, topic: str, kind: type, profile: QoSProfile) -> list[Any]:
        """Keeps the messages of a topic in a list. Only before the host runs."""
        kept = self.messages[topic] = []
        self.host.subscribe(kind, topic, lambda message, receive_ns: kept.append(message), profile)
        return kept

    def call(self, name: str, request: Any, within_s: float = 60.0) -> Any:
        """The answer of a service."""
        client = self._clients[name]
        eventually(lambda: self._servers_known and client.service_is_ready(), 60.0)
        future = client.call_async(request)
        eventually(future.done, within_s)
        return future.result()

    def close(self) -> None:
        return

    def _on_status(self, message: Any, receive_ns: int) -> None:
        self._servers_known = True


class Leader:
    """Simulated time for nodes that need no simulator. A context manager."""

    def __init__(self, participants: list[str]) -> None:
        node = rclpy.create_node("leader")
        self.pacer = LockstepLeader(node, participants, 10_000_000)
        self.host = NodeHost(node, self.pacer)
        self._thread = threading.Thread(target=self.host.run, name="leader", daemon=True)

    def __enter__(self) -> Leader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.host.stop()
        self._thread.join(10.0)
        self.host.node.destroy_node()

    def run(self, seconds: float) -> None:
        span = Span(self.pacer.clock.now_ns() + round(seconds * 1e9), lambda: False)
        self.host.in_loop(lambda: self.pacer.run(span))
        assert span.finished.wait(60.0)
        assert span.error == ""


def eventually(condition: Callable[[], Any], within_s: float = 20.0) -> Any:
    """Waits until a condition is true and returns its value."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)
    return value


def processes_marked_by(folder: Path) -> list[int]:
    """The processes that were started with this folder for temporary files, and those that they started."""
    mark = b"TMPDIR=" + os.fsencode(folder) + b"\0"
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


@contextmanager
def running(graph: Graph, *elsewhere: str) -> Iterator[Operator]:
    """A graph in processes, except for those that the test runs itself, and an operator."""
    processes = [process for process in graph.processes if process.name not in elsewhere]
    with Supervisor(processes, os.environ) as supervisor, Operator(supervisor.check) as operator:
        yield operator


def with_parameters(graph: Graph, name: str, **changes: Value) -> Graph:
    """The graph in which one process gets other parameters."""
    processes = [
        dataclasses.replace(process, parameters={**process.parameters, **changes}) if process.name == name else process
        for process in graph.processes
    ]
    assert processes != list(graph.processes), f"no process is called {name}"
    return dataclasses.replace(graph, processes=tuple(processes))


def written(path: Path, **changes: object) -> Path:
    """fr3_sim with changes, as a file of its own."""
    data = config.merge(config.read_yaml(EMBODIMENTS / "fr3_sim.yaml"), changes)
    path.write_text(yaml.safe_dump(data))
    return path


def renamed(path: Path) -> Path:
    """fr3_sim whose last joint has another robot's name, everywhere."""
    text = yaml.safe_dump(config.read_yaml(EMBODIMENTS / "fr3_sim.yaml")).replace("fr3_joint7", "panda_joint7")
    path.write_text(text)
    return path
