"""Runs a node: one loop that takes messages and fires timers, and a thread for services, actions and parameters.

Handlers of messages, timers and services all run in the loop, one at a time, so that a node needs no locks. Data topics are
taken by the loop itself rather than by an executor: one rclpy executor round costs a hundred microseconds, taking a message
ten. What "now" is and when handlers run is up to the pacer: real time, or lockstep with a simulation.
"""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import rclpy
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.client import Client
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile

from vla_core.ports import Clock
from vla_ros import scheduling
from vla_ros.action_client import ActionClient
from vla_ros.data_topics import DataPublisher, DataTopic, MessageHandler, TakenByTheLoop
from vla_ros.timer import Timer, TimerHandler

T = TypeVar("T")

_CONTROL_THREADS = 4
_JOIN_S = 5.0


class Pacer(Protocol):
    """Decides what time it is and when handlers run."""

    @property
    def clock(self) -> Clock: ...

    @property
    def holds_back(self) -> bool:
        """Whether publishers must wait for :meth:`DataPublisher.release`."""
        ...

    def start(self, host: NodeHost) -> None:
        """Called once, when all subscriptions and publishers exist."""
        ...

    def turn(self, host: NodeHost) -> None:
        """Waits for something to do and does it."""
        ...


class NodeHost:
    """A node with its clock, its data topics, its timers and its services."""

    def __init__(self, node: Node, pacer: Pacer) -> None:
        self.node = node
        self.clock = pacer.clock
        self.topics: list[DataTopic] = []
        self.publishers: list[DataPublisher] = []
        self.timers: list[Timer] = []
        self.pending_calls = 0  # calls to other nodes that were made in a handler and are not answered yet
        self.pacer = pacer
        self.scheduling = ""  # how the operating system schedules the loop, if that was asked for
        self.running = False
        self._made: list[Callable[[], object]] = []  # what undoes the declarations of the node, in their order
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._group = TakenByTheLoop()
        self._control = ReentrantCallbackGroup()
        self._wake = _rclpy.GuardCondition(node.context.handle)
        self._wait_set: Any = None
        self._wait_set_size = 0
        self._executor = MultiThreadedExecutor(_CONTROL_THREADS, context=node.context)
        self._executor.add_node(node)
        self._workers = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._thread = threading.Thread(target=self._spin_control, name="control", daemon=True)

    # -- what a node declares ---------------------------------------------------------------------------------------

    def subscribe(
        self,
        message_type: type,
        topic: str,
        handler: MessageHandler,
        qos: QoSProfile,
        raw: bool = False,
        wakes: bool = True,
    ) -> DataTopic:
        """Subscribes; ``handler(message, receive_ns)`` runs in the loop.

        Args:
            message_type: of the topic.
            topic: its name.
            handler: takes the messages.
            qos: must fit the publisher's.
            raw: whether it gets serialized messages: bytes, or views on memory of their own for large ones.
            wakes: whether a message is to be taken as soon as it comes. Else it waits, in real time, until the loop does
                something anyway, a timer for example: that is cheaper, and when the message came is known all the same.
        """
        handle = self.node.create_subscription(
            message_type, topic, lambda _: None, qos, callback_group=self._group, raw=raw
        )
        entry = DataTopic(handle, handler, wakes)
        self.topics.append(entry)
        self._made.append(lambda: self.node.destroy_subscription(handle))
        return entry

    def publisher(self, message_type: type, topic: str, qos: QoSProfile) -> DataPublisher:
        handle = self.node.create_publisher(message_type, topic, qos)
        entry = DataPublisher(handle, self.pacer.holds_back)
        self.publishers.append(entry)
        self._made.append(lambda: self.node.destroy_publisher(handle))
        return entry

    def every(self, period_ns: int, handler: TimerHandler) -> Timer:
        """Runs ``handler(now_ns)`` in the loop at every whole multiple of the period [ns], behind messages that came before."""
        timer = Timer(period_ns, handler)
        self.timers.append(timer)
        return timer

    def service(self, service_type: type, name: str, handler: Callable[[Any, Any], Any]) -> None:
        """Offers a service; ``handler(request, response)`` runs in the loop and returns the response."""
        self.background_service(
            service_type, name, lambda request, response: self.in_loop(lambda: handler(request, response))
        )

    def background_service(self, service_type: type, name: str, handler: Callable[[Any, Any], Any]) -> None:
        """Offers a service whose handler takes long and runs beside the loop; it enters it by :meth:`in_loop`."""
        service = self.node.create_service(service_type, name, handler, callback_group=self._control)
        self._made.append(lambda: self.node.destroy_service(service))

    def action_server(
        self,
        action_type: type,
        name: str,
        execute: Callable[[Any], Any],
        accept: Callable[[Any], GoalResponse] = lambda _: GoalResponse.ACCEPT,
    ) -> ActionServer:
        """Offers an action whose goals can be cancelled.

        Args:
            execute: serves a goal beside the loop and returns the result: ``execute(goal_handle)``.
            accept: decides about a goal beside the loop, before it is answered: ``accept(request)``.
        """
        server = ActionServer(
            self.node,
            action_type,
            name,
            execute,
            callback_group=self._control,
            goal_callback=accept,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )
        self._made.append(server.destroy)
        return server

    def client(self, service_type: type, name: str) -> Client:
        client = self.node.create_client(service_type, name, callback_group=self._control)
        self._made.append(lambda: self.node.destroy_client(client))
        return client

    def action_client(self, action_type: type, name: str) -> ActionClient:
        client = ActionClient(self.node, action_type, name, callback_group=self._control)
        self._made.append(client.destroy)
        return client

    def at_the_end(self, undo: Callable[[], object]) -> None:
        """Has :meth:`forget` undo something else that belongs to the node."""
        self._made.append(undo)

    def forget(self) -> None:
        """Undoes everything that was declared: topics, timers, services and actions are gone. In the loop, or without it."""
        self.topics, self.publishers, self.timers = [], [], []
        self._wait_set = None
        while self._made:
            self._made.pop()()

    # -- what runs where --------------------------------------------------------------------------------------------

    def in_loop(self, work: Callable[[], T]) -> T:
        """Runs ``work`` in the loop and returns its result. For threads other than the loop's."""
        done = threading.Event()
        outcome: list[T] = []
        failure: list[BaseException] = []

        def job() -> None:
            try:
                outcome.append(work())
            except BaseException as error:  # handed to the caller, who waits for it
                failure.append(error)
            finally:
                done.set()

        self.post(job)
        while not done.wait(0.1):
            if self._stopped.is_set():
                raise RuntimeError(f"{self.node.get_name()} is shutting down")
        if failure:
            raise failure[0]
        return outcome[0]

    def post(self, job: Callable[[], None]) -> None:
        """Has the loop run ``job`` soon. May be called from any thread."""
        self._jobs.put(job)
        self._wake.trigger_guard_condition()

    def keep_time(self, priority: int) -> None:
        """Has the system run the loop before everything else as soon as it runs; says so in the log and in :attr:`scheduling`.

        Args:
            priority: as for :func:`vla_ros.scheduling.keep_time`. In lockstep there is nothing to keep.
        """
        if self.pacer.holds_back:
            self.scheduling = "lockstep"
            return

        def job() -> None:
            self.scheduling = scheduling.keep_time(priority)
            self.node.get_logger().info(f"control loop: {self.scheduling}")

        self.post(job)

    def compute(self, work: Callable[[], T], handler: Callable[[T], None]) -> None:
        """Runs ``work`` beside the loop, which goes on taking messages, and then ``handler(result)`` in it."""
        self.when_answered(self._workers.submit(work), handler)

    def when_answered(self, future: Any, handler: Callable[[Any], None]) -> None:
        """Runs ``handler(result)`` in the loop when a call to another node is answered. Lockstep waits for it."""
        self.pending_calls += 1

        def answered(done: Any) -> None:
            def job() -> None:
                self.pending_calls -= 1
                handler(done.result())  # raises in the loop what was raised beside it

            self.post(job)

        future.add_done_callback(answered)

    # -- the loop ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Runs the loop until :meth:`stop` is called, the process gets SIGINT or SIGTERM, or ROS shuts down."""
        self._thread.start()
        self.pacer.start(self)
        self.running = True
        try:
            while not self._stopped.is_set() and self.node.context.ok():
                self.pacer.turn(self)
        finally:
            self.running = False
            self._stopped.set()
            self._workers.shutdown(wait=True, cancel_futures=True)
            self._executor.shutdown(timeout_sec=1.0)
            self._thread.join(_JOIN_S)  # a thread that is in the middleware when Python ends takes the process down

    def stop(self) -> None:
        """Ends :meth:`run` soon. May be called from any thread and from a signal handler."""
        self._stopped.set()
        self._wake.trigger_guard_condition()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def wait(self, timeout_ns: int, for_all: bool = True) -> None:
        """Waits until a data topic has messages, a job is posted, or the time is over.

        Args:
            timeout_ns: the time [ns].
            for_all: false: not for topics that were subscribed to with ``wakes`` false.
        """
        if self._wait_set is None or self._wait_set_size != len(self.topics):
            self._wait_set_size = len(self.topics)
            self._wait_set = _rclpy.WaitSet(self._wait_set_size, 1, 0, 0, 0, 0, self.node.context.handle)
        wait_set = self._wait_set
        wait_set.clear_entities()
        for entry in self.topics:
            if for_all or entry.wakes:
                wait_set.add_subscription(entry.subscription.handle)
        wait_set.add_guard_condition(self._wake)
        wait_set.wait(max(0, timeout_ns))

    def run_jobs(self) -> None:
        """Runs what other threads have posted."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            job()

    def _spin_control(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass
        finally:
            self._stopped.set()


def stop_on_signals(host: NodeHost) -> None:
    """Has SIGINT and SIGTERM end the host's loop, so that files are closed and the arm is brought to rest."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: host.stop())


def init() -> None:
    """Starts ROS in this process without its own signal handlers. Call once."""
    rclpy.init(signal_handler_options=rclpy.SignalHandlerOptions.NO)
