"""The streams of an embodiment over real DDS: what is published is in the steps, whatever kind of message it came in."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from geometry_msgs.msg import WrenchStamped  # noqa: E402
from rclpy.node import Node  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image, JointState  # noqa: E402
from std_msgs.msg import Float64  # noqa: E402

from vla_core.embodiment.loading import embodiment_from_mapping  # noqa: E402
from vla_core.encoded import EncodedImage, encode_jpeg, pixels_of  # noqa: E402
from vla_core.errors import StreamError  # noqa: E402
from vla_core.observation import Sample, Step  # noqa: E402
from vla_core.steps import observation_from  # noqa: E402
from vla_ros import host as ros_host  # noqa: E402
from vla_ros import qos  # noqa: E402
from vla_ros.codecs.images import image_message  # noqa: E402
from vla_ros.host import NodeHost  # noqa: E402
from vla_ros.real_time import RealTimePacer  # noqa: E402
from vla_ros.streams import StreamSubscriptions  # noqa: E402
from vla_ros.time import to_time  # noqa: E402

pytestmark = pytest.mark.ros
HEIGHT, WIDTH = 96, 128  # more than what is copied out of the middleware as bytes
MS = 1_000_000
NEAREST = {"method": "nearest", "tolerance_ms": 5, "wait_ms": 5000}
LATEST = {"method": "latest_before", "tolerance_ms": 10_000, "wait_ms": 5000}
SIZE = {"width": WIDTH, "height": HEIGHT, "rate_hz": 10}
LIMITS = {"position": {"min": -10, "max": 10}, "velocity": 1.0, "acceleration": 1.0, "jerk": 1.0}
EMBODIMENT = embodiment_from_mapping(
    {
        "schema": "vla/embodiment/1",
        "name": "test",
        "joints": [{"name": name, **LIMITS} for name in ("a", "b")],
        "cameras": {
            "scene": {"topic": "/scene", **SIZE, "align": NEAREST},
            "wrist": {"topic": "/wrist", **SIZE, "align": NEAREST, "message": "compressed", "images": "jpeg"},
        },
        "depth_cameras": {
            "depth": {"topic": "/depth", **SIZE, "align": NEAREST, "encoding": "16UC1", "unit": "mm"},
        },
        "streams": {
            "joints": {
                "topic": "/joints",
                "type": "sensor_msgs/msg/JointState",
                "rate_hz": 100,
                "align": {"method": "interpolate", "tolerance_ms": 50, "wait_ms": 5000},
                "elements": {"path": "name", "names": ["a", "b"]},
                "fields": {"position": {"path": "position", "unit": "rad"}},
                "native": True,
            },
            "wrench": {
                "topic": "/wrench",
                "type": "geometry_msgs/msg/WrenchStamped",
                "rate_hz": 10,
                "align": NEAREST,
                "fields": {"wrench": {"path": "wrench", "unit": "1", "names": ["fx", "fy", "fz", "tx", "ty", "tz"]}},
            },
            "gripper": {
                "topic": "/gripper",
                "type": "std_msgs/msg/Float64",
                "rate_hz": 10,
                "align": LATEST,
                "stamp": "arrival",
                "fields": {"position": {"path": "data", "unit": "m", "names": ["gripper"]}},
            },
        },
        "proprioception": {"qpos": ["joints.position", "gripper.position"]},
        "action": {"kind": "joint_position", "fields": ["joints.position"]},
        "arm": {"name": "arm", "controllers": "none"},
        "steps": {"clock": "scene", "rate_hz": 10},
    },
    "test",
)
TYPES = {
    "/scene": Image,
    "/wrist": CompressedImage,
    "/depth": Image,
    "/joints": JointState,
    "/wrench": WrenchStamped,
    "/gripper": Float64,
}


@pytest.fixture(scope="module", autouse=True)
def _ros() -> Iterator[None]:
    ros_host.init()
    yield
    rclpy.shutdown()


def eventually(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


class Robot:
    """Publishes one sample of each stream, typed, as drivers do."""

    def __init__(self, node: Node) -> None:
        self.publishers = {topic: node.create_publisher(kind, topic, qos.stream(100)) for topic, kind in TYPES.items()}
        rng = np.random.default_rng(0)
        self.scene = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        self.jpeg = encode_jpeg(cv2.GaussianBlur(self.scene, (0, 0), 5), 90)
        self.distances = rng.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)

    def publish(self, stamp_ns: int) -> None:
        stamp = to_time(stamp_ns)
        depth = Image(height=HEIGHT, width=WIDTH, encoding="16UC1", step=2 * WIDTH)
        depth.data = array("B", self.distances.tobytes())
        wrist = CompressedImage(format="rgb8; jpeg compressed bgr8", data=array("B", self.jpeg))
        wrench = WrenchStamped()
        wrench.wrench.force.x, wrench.wrench.torque.z = 1.5, -2.5
        for stamped in (depth, wrist, wrench):
            stamped.header.stamp = stamp
        self.send("/gripper", Float64(data=0.04))
        for name, value in (("/depth", depth), ("/wrist", wrist), ("/wrench", wrench)):
            self.send(name, value)
        for shift_ns, position in ((-10 * MS, 1.0), (30 * MS, 5.0)):  # at the image's time: 2
            joints = JointState(name=["b", "a"], position=[10 * position, position])
            joints.header.stamp = to_time(stamp_ns + shift_ns)
            self.send("/joints", joints)
        self.send("/scene", image_message(self.scene, stamp_ns, "camera"))

    def send(self, topic: str, message: Any) -> None:
        self.publishers[topic].publish(message)


class Listening:
    """A node that listens in a thread of its own and collects steps in its timer."""

    def __init__(self, wakes: bool) -> None:
        self.host = NodeHost(rclpy.create_node("listener"), RealTimePacer())
        self.native: list[tuple[str, Sample]] = []
        self.steps: list[Step] = []
        self.streams = StreamSubscriptions(
            self.host, EMBODIMENT, EMBODIMENT.sources, lambda *taken: self.native.append(taken), wakes
        )
        self.host.every(10 * MS, lambda now_ns: self.steps.extend(self.streams.pop(now_ns)))
        self._thread = threading.Thread(target=self.host.run)

    def __enter__(self) -> Listening:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.host.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.host.node.destroy_node()


@pytest.fixture
def robot() -> Iterator[Robot]:
    node = rclpy.create_node("robot")
    yield Robot(node)
    node.destroy_node()


def matched(robot: Robot) -> bool:
    return all(publisher.get_subscription_count() == 1 for publisher in robot.publishers.values())


@pytest.mark.parametrize("wakes", [True, False])
def test_every_kind_of_stream_comes_into_the_step(robot: Robot, wakes: bool) -> None:
    with Listening(wakes) as listening:
        eventually(lambda: matched(robot))
        stamp_ns = listening.host.clock.now_ns() + 500 * MS  # the gripper's arrival is before it
        robot.publish(stamp_ns)
        eventually(lambda: len(listening.steps) == 1)
    (step,) = listening.steps
    assert step.stamp_ns == stamp_ns
    assert set(step.samples) == set(EMBODIMENT.sources)
    value = {name: sample.value for name, sample in step.samples.items()}
    np.testing.assert_array_equal(value["scene"], robot.scene)
    np.testing.assert_array_equal(value["depth"], robot.distances)
    assert isinstance(value["wrist"], EncodedImage)
    assert bytes(value["wrist"].data) == robot.jpeg
    np.testing.assert_allclose(value["joints"], [2.0, 20.0])
    np.testing.assert_array_equal(value["wrench"], [1.5, 0, 0, 0, 0, -2.5])
    np.testing.assert_array_equal(value["gripper"], [0.04])
    observation = observation_from(step, EMBODIMENT, "prompt")
    np.testing.assert_array_equal(observation.images["wrist"], pixels_of(value["wrist"]))
    np.testing.assert_allclose(observation.proprioception["qpos"], [2.0, 20.0, 0.04])
    assert [(name, list(sample.value)) for name, sample in listening.native] == [
        ("joints", [1.0, 10.0]),
        ("joints", [5.0, 50.0]),
    ]


def test_a_message_that_does_not_hold_what_is_declared_is_an_event_and_no_value(robot: Robot) -> None:
    with Listening(wakes=True) as listening:
        eventually(lambda: matched(robot))
        bad = JointState(name=["a", "c"], position=[1.0, 2.0])
        bad.header.stamp = to_time(listening.host.clock.now_ns())
        robot.send("/joints", bad)
        unstamped = CompressedImage(format="jpeg", data=array("B", robot.jpeg))
        robot.send("/wrist", unstamped)
        eventually(lambda: set(listening.streams.problems) == {"joints", "wrist"})
        assert "(missing: b)" in listening.streams.problems["joints"]
        assert "the header's stamp is 0" in listening.streams.problems["wrist"]
        robot.publish(listening.host.clock.now_ns() + 500 * MS)
        eventually(lambda: len(listening.steps) == 1)
        assert not listening.streams.problems


def test_a_field_that_a_type_does_not_have_is_refused_before_anything_is_received() -> None:
    from vla_core.config import to_mapping

    changed = to_mapping(EMBODIMENT)
    changed["streams"]["wrench"]["fields"]["wrench"]["path"] = "force"
    embodiment = embodiment_from_mapping(changed, "test")
    host = NodeHost(rclpy.create_node("listener"), RealTimePacer())
    with pytest.raises(StreamError, match="field 'force' of WrenchStamped: expected one of the fields header, wrench"):
        StreamSubscriptions(host, embodiment, embodiment.sources)
    host.node.destroy_node()
