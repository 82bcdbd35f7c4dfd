"""The gripper's server, which may be there before the middleware has found it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from control_msgs.action import GripperCommand  # noqa: E402
from vla_core.embodiment import load_embodiment  # noqa: E402
from vla_core.errors import LimitError  # noqa: E402
from vla_ros import host as ros_host  # noqa: E402
from vla_ros.host import NodeHost  # noqa: E402
from vla_ros.real_time import RealTimePacer  # noqa: E402
from vla_ros.robot.sinks import GripperSink  # noqa: E402

pytestmark = pytest.mark.ros
EMBODIMENT = Path(__file__).parents[3] / "config" / "embodiments" / "fr3_sim.yaml"
PATIENCE_S = 30.0


@pytest.fixture
def host() -> Iterator[NodeHost]:
    ros_host.init()
    host = NodeHost(rclpy.create_node("gripping"), RealTimePacer())
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(host.run)
        yield host
        host.stop()
        running.result(PATIENCE_S)
    host.node.destroy_node()
    rclpy.try_shutdown()


def test_a_server_that_appears_is_waited_for(host: NodeHost) -> None:
    gripper = load_embodiment(EMBODIMENT).gripper
    assert gripper is not None
    sink = GripperSink(host, gripper)
    sink.wait_for_server(0.05)
    with pytest.raises(LimitError, match=rf"expected the gripper's action {gripper.goal_topic}, found no server"):
        sink.require_server()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(sink.wait_for_server, PATIENCE_S)
        host.action_server(GripperCommand, gripper.goal_topic, lambda goal: GripperCommand.Result())
        waiting.result(PATIENCE_S)
    sink.require_server()
