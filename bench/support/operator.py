"""Somebody who starts and stops episodes: the services of a recorder_node."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from vla_msgs.srv import StartEpisode, StopEpisode

from vla_ros import names

_READY_S = 60.0
_ANSWER_S = 200.0


class Operator:
    """Calls the services of a recorder_node. ROS must be running in this process."""

    def __init__(self) -> None:
        self._node = rclpy.create_node("bench_operator")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._start = self._node.create_client(StartEpisode, names.START_EPISODE)
        self._stop = self._node.create_client(StopEpisode, names.STOP_EPISODE)

    def close(self) -> None:
        self._executor.shutdown(timeout_sec=1.0)
        self._node.destroy_node()

    def start(self) -> None:
        """Starts an episode as soon as the recorder agrees. Raises RuntimeError if it does not within a minute."""
        deadline = time.monotonic() + _READY_S
        reason = "no recorder"
        while time.monotonic() < deadline:
            if self._start.wait_for_service(1.0):
                answer = self._call(self._start, StartEpisode.Request(prompt="bench"))
                if answer.accepted:
                    return
                reason = answer.message
            time.sleep(0.2)
        raise RuntimeError(f"no episode could be started: {reason}")

    def stop(self) -> Path:
        """Ends the episode. Returns its file."""
        answer = self._call(self._stop, StopEpisode.Request())
        if not answer.accepted:
            raise RuntimeError(f"the episode could not be finished: {answer.message}")
        return Path(answer.path)

    def _call(self, client: Any, request: Any) -> Any:
        future = client.call_async(request)
        self._executor.spin_until_future_complete(future, _ANSWER_S)
        if not future.done():
            raise RuntimeError(f"{client.srv_name} did not answer within {_ANSWER_S:.0f} s")
        return future.result()
