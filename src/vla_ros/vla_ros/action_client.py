"""rclpy's action client, without its race between a request and its answer."""

from __future__ import annotations

import threading
from typing import Any

from rclpy import action
from rclpy.task import Future


class ActionClient(action.ActionClient):  # type: ignore[misc]
    """An action client whose answers are never lost, however fast the server is.

    rclpy 7.1 sends a request first and notes then that it waits for an answer. An answer that an executor's thread takes in
    between is dropped as unexpected, and the future of the request never completes. Here nothing is taken meanwhile.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._sending = threading.RLock()  # before the executor can know of this client
        super().__init__(*args, **kwargs)

    def send_goal_async(self, *args: Any, **kwargs: Any) -> Future:
        with self._sending:
            return super().send_goal_async(*args, **kwargs)

    def _cancel_goal_async(self, goal_handle: Any) -> Future:
        with self._sending:
            return super()._cancel_goal_async(goal_handle)

    def _get_result_async(self, goal_handle: Any) -> Future:
        with self._sending:
            return super()._get_result_async(goal_handle)

    def take_data(self) -> dict[str, Any]:
        with self._sending:
            taken: dict[str, Any] = super().take_data()
        return taken
