"""Topics whose messages a node's loop takes and publishes itself, and counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup

from vla_ros.direct_take import DirectTake

MessageHandler = Callable[[Any, int], None]  # message, receive time [ns]


class DataTopic:
    """A subscription of the loop: its messages wait here until the pacer delivers them."""

    def __init__(self, handle: Any, handler: MessageHandler, wakes: bool) -> None:
        self.subscription = handle
        self.topic: str = handle.topic_name
        self.wakes = wakes
        self._direct = DirectTake(handle.handle) if handle.raw else None
        self.waiting: deque[tuple[Any, int]] = deque()  # with the system time at which the middleware received it [ns]
        self.delivered = 0
        self._handler = handler

    @property
    def taken(self) -> int:
        """Messages taken from the middleware since the start."""
        return self.delivered + len(self.waiting)

    def take(self) -> None:
        """Takes everything that the middleware has for this topic."""
        handle, kind = self.subscription.handle, self.subscription.msg_type
        with handle:
            if self._direct is not None:
                while (message := self._direct.take()) is not None:
                    self.waiting.append(message)
                return
            while (taken := handle.take_message(kind, False)) is not None:
                self.waiting.append((taken[0], taken[1]["received_timestamp"]))

    def deliver(self, receive_time: Callable[[int], int], count: int | None = None) -> None:
        """Hands the oldest waiting messages to the handler.

        Args:
            receive_time: from the system time at which the middleware received a message to that time on the node's clock [ns].
            count: how many; all by default.
        """
        for _ in range(len(self.waiting) if count is None else count):
            self.delivered += 1
            message, received_ns = self.waiting.popleft()
            self._handler(message, receive_time(received_ns))


class DataPublisher:
    """A publisher that counts, because lockstep must know how many messages are on their way.

    It holds messages back until :meth:`release` where the pacer says so: a message that is published before its subscribers
    are found would be counted and never arrive.
    """

    def __init__(self, handle: Any, hold_back: bool) -> None:
        self.publisher = handle
        self.topic: str = handle.topic_name
        self.count = 0
        self._held: list[Any] | None = [] if hold_back else None

    def publish(self, message: Any) -> None:
        if self._held is not None:
            self._held.append(message)
            return
        self.count += 1
        self.publisher.publish(message)

    def release(self) -> None:
        """Publishes what was held back, and everything from now on at once."""
        held, self._held = self._held or [], None
        for message in held:
            self.publish(message)


class TakenByTheLoop(CallbackGroup):  # type: ignore[misc]
    """Keeps a subscription out of the executor's wait set."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        return
