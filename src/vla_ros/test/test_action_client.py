"""Actions whose server answers before the client has noted that it asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

rclpy = pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from rclpy.action import ActionServer  # noqa: E402
from rclpy.callback_groups import ReentrantCallbackGroup  # noqa: E402
from rclpy.executors import MultiThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from vla_msgs.action import ReplayEpisode  # noqa: E402

from vla_ros import host as ros_host  # noqa: E402
from vla_ros.action_client import ActionClient  # noqa: E402

pytestmark = pytest.mark.ros
WITHIN_S = 20.0


class Slow:
    """A client's handle whose calls return only when the server's answer is surely there."""

    def __init__(self, handle: object) -> None:
        self._handle = handle

    def __enter__(self) -> object:
        return self._handle.__enter__()

    def __exit__(self, *details: object) -> object:
        return self._handle.__exit__(*details)

    def __getattr__(self, name: str) -> object:
        found = getattr(self._handle, name)
        if not name.startswith("send_"):
            return found

        def send(request: object) -> int:
            number = found(request)
            time.sleep(0.3)  # what a busy machine does to a thread between two lines
            return number

        return send


@pytest.fixture
def node() -> Iterator[Node]:
    ros_host.init()
    node = rclpy.create_node("both")
    executor = MultiThreadedExecutor(4)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield node
    executor.shutdown(timeout_sec=2.0)
    thread.join(5.0)
    node.destroy_node()
    rclpy.try_shutdown()


def result(future: object) -> object:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(WITHIN_S), "the answer was lost"
    return future.result()


def test_an_answer_that_overtakes_its_request_is_not_lost(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    group = ReentrantCallbackGroup()

    def serve(goal: object) -> ReplayEpisode.Result:
        goal.succeed()
        return ReplayEpisode.Result(success=True, steps=3)

    ActionServer(node, ReplayEpisode, "quick", serve, callback_group=group)
    client = ActionClient(node, ReplayEpisode, "quick", callback_group=group)
    assert client.wait_for_server(WITHIN_S)
    monkeypatch.setattr(client, "_client_handle", Slow(client._client_handle))
    goal = result(client.send_goal_async(ReplayEpisode.Goal(path="x")))
    assert goal.accepted
    assert result(goal.get_result_async()).result.steps == 3
    assert result(goal.cancel_goal_async()) is not None
