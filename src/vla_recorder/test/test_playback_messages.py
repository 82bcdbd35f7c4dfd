"""The messages that a playback publishes: those of a bag with their times moved, those of an episode rebuilt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vla_core.embodiment import load_embodiment
from vla_core.embodiment.schema import Align, Field, Stream
from vla_core.errors import StreamError
from vla_recorder.playback import PlaybackProgress, PlaybackState
from vla_recorder.playback.ros.commands import stretched
from vla_recorder.playback.ros.messages import StreamMessages, message_from
from vla_recorder.playback.ros.progress import progress_from, progress_message
from vla_ros.codecs.definitions import message_type
from vla_ros.codecs.fields import StreamCodec
from vla_ros.time import to_duration, to_ns, to_time

ROOT = Path(__file__).parents[3]
BAG = ROOT / "test" / "data" / "bags" / "scene_mcap"
FR3 = load_embodiment(ROOT / "config" / "embodiments" / "fr3.yaml")
LATER_NS = 123_456_789_012
pytestmark = [pytest.mark.ros, pytest.mark.filterwarnings("ignore::DeprecationWarning:lark")]


def as_recorded() -> Iterator[tuple[object, object]]:
    """For every message of a bag: its value as rosbags reads it, and the message as ROS itself does."""
    with AnyReader([BAG]) as reader:
        for connection, _, data in reader.messages():
            ours = reader.deserialize(data, connection.msgtype)
            yield ours, deserialize_message(bytes(data), message_type(connection.msgtype))


def test_a_bags_values_become_the_messages_that_ros_itself_reads() -> None:
    count = 0
    for value, expected in as_recorded():
        assert repr(message_from(value, lambda stamp_ns: stamp_ns)) == repr(expected)  # NaN is equal to NaN in words
        count += 1
    assert count == 2180


def test_stamps_move_and_nothing_else_does() -> None:
    for value, expected in as_recorded():
        moved = message_from(value, lambda stamp_ns: stamp_ns + LATER_NS)
        if hasattr(moved, "header"):
            assert to_ns(moved.header.stamp) == to_ns(expected.header.stamp) + LATER_NS
            moved.header.stamp = expected.header.stamp
        assert repr(moved) == repr(expected)


def test_a_stamp_of_zero_stays_zero() -> None:
    value = SimpleNamespace(sec=0, nanosec=0, __msgtype__="builtin_interfaces/msg/Time")
    assert to_ns(message_from(value, lambda stamp_ns: stamp_ns + LATER_NS)) == 0


def test_bytes_texts_and_nested_lists_survive() -> None:
    status = DiagnosticStatus(level=b"\x02", name="arm", message="hot", values=[KeyValue(key="t", value="80")])
    sent = DiagnosticArray(status=[status, status])
    sent.header.stamp = to_time(5)
    value = get_typestore(Stores.ROS2_JAZZY).deserialize_cdr(
        serialize_message(sent), "diagnostic_msgs/msg/DiagnosticArray"
    )
    assert message_from(value, lambda stamp_ns: stamp_ns) == sent


def test_a_type_that_is_not_installed_or_is_another_one_here_is_named() -> None:
    with pytest.raises(StreamError, match="message type 'acme_msgs/msg/Thing': expected one that is installed"):
        message_from(SimpleNamespace(__msgtype__="acme_msgs/msg/Thing"), int)
    old = SimpleNamespace(__msgtype__="std_msgs/msg/Float64", data=1.0, unit="m")
    with pytest.raises(StreamError, match=r"expected the fields \['data'\] that it has here, found \['data', 'unit'\]"):
        message_from(old, int)


@pytest.mark.parametrize("name", list(FR3.streams))
def test_a_rebuilt_message_reads_as_the_vector_it_was_made_of(name: str) -> None:
    stream = FR3.streams[name]
    vector = np.random.default_rng(1).normal(size=stream.size)
    message = StreamMessages(stream).message(vector, 1_234_567_890)
    np.testing.assert_array_equal(StreamCodec(name, stream).read(message), vector)
    if stream.stamp == "header":
        assert to_ns(message.header.stamp) == 1_234_567_890


def test_nested_single_numbers_are_rebuilt_too() -> None:
    fields = {axis: Field(f"wrench.force.{axis}", "N", (axis,)) for axis in "xyz"}
    stream = Stream("/wrench", "geometry_msgs/msg/WrenchStamped", 200.0, Align("nearest", 10.0), fields)
    message = StreamMessages(stream).message(np.array([1.0, -2.0, 3.5]), 7)
    assert (message.wrench.force.x, message.wrench.force.y, message.wrench.force.z) == (1.0, -2.0, 3.5)
    np.testing.assert_array_equal(StreamCodec("wrench", stream).read(message), [1.0, -2.0, 3.5])


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_a_stretched_trajectory_takes_the_same_path_in_other_time(speed: float) -> None:
    point = JointTrajectoryPoint(
        positions=[0.1, 0.2], velocities=[0.4, -0.8], accelerations=[1.0, 2.0], time_from_start=to_duration(300_000_000)
    )
    made = stretched(JointTrajectory(points=[point]), speed).points[0]
    assert list(made.positions) == [0.1, 0.2]
    np.testing.assert_allclose(made.velocities, np.array([0.4, -0.8]) * speed)
    np.testing.assert_allclose(made.accelerations, np.array([1.0, 2.0]) * speed**2)
    assert to_ns(made.time_from_start) == round(300_000_000 / speed)


def test_progress_survives_the_way_over_a_message() -> None:
    progress = PlaybackProgress(PlaybackState.PLAYING, "/bags/a b", 3, 17, 2**60, 2**60 + 1, 2**61)
    assert progress_from(progress_message(progress)) == progress
