"""Bags that real rosbag2 recorded, read and compared with what their publisher noted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from vla_core.embodiment import load_embodiment
from vla_core.images import decode_compressed_image, decode_image
from vla_recorder.bags import BagError, BagReader
from vla_recorder.bags.arm import arm_positions, arm_start, command_topic, joint_state_topic
from vla_ros.codecs.fields import StreamCodec

ROOT = Path(__file__).parents[3]
BAGS = ROOT / "test" / "data" / "bags"
FR3 = load_embodiment(ROOT / "config" / "embodiments" / "fr3.yaml")
TRUTH = json.loads((BAGS / "truth.json").read_text())
FILES = {
    "scene_mcap": "scene_mcap.mcap",
    "scene_sqlite3": "scene_sqlite3.db3",
    "scene_sqlite3_zstd": "scene_sqlite3_zstd.db3",
}
TRAJECTORIES = "/fr3_arm_controller/joint_trajectory"
every_bag = pytest.mark.parametrize("name", list(FILES))


@every_bag
def test_topics_types_and_counts_are_those_of_the_truth(name: str) -> None:
    with BagReader(BAGS / name) as bag:
        found = {topic.name: (topic.type, topic.count) for topic in bag.topics.values() if topic.count}
    assert found == {topic: (known["type"], len(known["receive_t"])) for topic, known in TRUTH[name]["topics"].items()}


@every_bag
def test_every_message_has_its_receive_time_and_its_header_stamp(name: str) -> None:
    truth = TRUTH[name]
    with BagReader(BAGS / name) as bag:
        messages = list(bag.messages())
    assert [m.receive_ns for m in messages] == sorted(m.receive_ns for m in messages)
    for topic, known in truth["topics"].items():
        here = [message for message in messages if message.topic == topic]
        received_s = [(message.receive_ns - truth["start_ns"]) * 1e-9 for message in here]
        np.testing.assert_allclose(received_s, known["receive_t"], atol=1e-6)
        stamps_ns = known.get("header_stamp_ns", [message.receive_ns for message in here])
        assert [message.stamp_ns for message in here] == stamps_ns


@every_bag
def test_numbers_and_texts_are_those_that_were_published(name: str) -> None:
    with BagReader(BAGS / name) as bag:
        for topic in ("/gripper/command", "/prompt"):
            values = [message.value.data for message in bag.messages([topic])]
            assert values == TRUTH[name]["topics"][topic]["values"]


def frame_of(image: np.ndarray) -> int:
    """The number that an image carries: 16 cells of 8x8 pixels, a bit each, with their inverse below."""
    grey = image[:16, :128].astype(float).mean(axis=2)
    cells = grey.reshape(2, 8, 16, 8)[:, 2:6, :, 2:6].mean(axis=(1, 3))
    return int("".join("1" if upper > lower else "0" for upper, lower in cells.T), 2)


def image_of(value: Any) -> np.ndarray:
    if hasattr(value, "format"):
        return decode_compressed_image(value.data)
    return decode_image(value.encoding, value.height, value.width, value.step, value.is_bigendian, value.data)


@pytest.mark.parametrize(
    ("name", "topic"),
    [(name, topic) for name in FILES for topic, known in TRUTH[name]["topics"].items() if "frame" in known],
)
def test_images_show_the_frame_that_was_published(name: str, topic: str) -> None:
    with BagReader(BAGS / name) as bag:
        frames = [frame_of(image_of(message.value)) for message in bag.messages([topic])]
    assert frames == TRUTH[name]["topics"][topic]["frame"]


def test_the_values_serve_the_codec_of_live_messages() -> None:
    codec = StreamCodec("joints", FR3.streams["joints"])
    with BagReader(BAGS / "scene_mcap") as bag:
        first = codec.read(next(bag.messages(["/franka/joint_states"])).value)
    np.testing.assert_allclose(first[:7], [0, -np.pi / 4, 0, -3 * np.pi / 4, 0, np.pi / 2, np.pi / 4])
    assert first.shape == (21,)


def test_all_containers_hold_the_same_commands() -> None:
    commands = {}
    for name in FILES:
        with BagReader(BAGS / name) as bag:
            commands[name] = [
                (message.stamp_ns, point.time_from_start.nanosec, *point.positions, *point.velocities)
                for message in bag.messages([TRAJECTORIES])
                for point in message.value.points
            ]
    assert len(commands["scene_mcap"]) == 26 * 5
    assert commands["scene_mcap"] == commands["scene_sqlite3"] == commands["scene_sqlite3_zstd"]


@every_bag
def test_a_single_file_is_a_bag_too(name: str) -> None:
    if name == "scene_sqlite3_zstd":  # only the metadata say that the messages are compressed
        with pytest.raises(BagError, match="expected a whole message"), BagReader(BAGS / name / FILES[name]) as bag:
            list(bag.messages([TRAJECTORIES]))
        return
    with BagReader(BAGS / name / FILES[name]) as bag:
        assert len(list(bag.messages([TRAJECTORIES]))) == 26


def test_the_profiles_of_the_publishers_are_known() -> None:
    with BagReader(BAGS / "scene_mcap") as bag:
        assert bag.topics["/prompt"].latched
        assert not bag.topics["/scene/image_raw"].latched
        assert not any(topic.best_effort for topic in bag.topics.values())


# -- where the arm was -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "topic"),
    [("scene_mcap", "/franka/joint_states"), ("scene_sqlite3", "/joint_states")],
)
def test_joint_states_are_those_of_the_embodiment_or_else_the_merged_ones(name: str, topic: str) -> None:
    with BagReader(BAGS / name) as bag:
        assert joint_state_topic(bag, FR3) == topic
        positions = list(arm_positions(bag, topic, FR3))
        start = arm_start(bag, FR3)
    assert [found.stamp_ns for found in positions] == TRUTH[name]["topics"][topic]["header_stamp_ns"]
    np.testing.assert_allclose(start.position, [0, -np.pi / 4, 0, -3 * np.pi / 4, 0, np.pi / 2, np.pi / 4], atol=1e-3)


def test_positions_are_taken_by_name(tmp_path: Path) -> None:
    shuffled = [*reversed(FR3.joint_names), "fr3_finger_joint1"]
    states = [(k * 10_000_000, shuffled, [*range(7), 0.04]) for k in range(3)]
    with BagReader(write_bag(tmp_path / "bag", states)) as bag:
        found = list(arm_positions(bag, joint_state_topic(bag, FR3), FR3))
    assert [list(one.position) for one in found] == [[6, 5, 4, 3, 2, 1, 0]] * 3


def write_bag(path: Path, states: list[tuple[int, list[str], list[float]]]) -> Path:
    """A bag with joint states on /arm/states: stamp, names, positions."""
    types = get_typestore(Stores.ROS2_JAZZY)
    JointState, Header, Time = (  # noqa: N806
        types.types[name]
        for name in ("sensor_msgs/msg/JointState", "std_msgs/msg/Header", "builtin_interfaces/msg/Time")
    )
    none = np.zeros(0)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection("/arm/states", JointState.__msgtype__, typestore=types)
        for stamp_ns, names, position in states:
            header = Header(Time(*divmod(stamp_ns, 1_000_000_000)), "")
            message = JointState(header, names, np.array(position, dtype=np.float64), none, none)
            writer.write(topic, stamp_ns, types.serialize_cdr(message, JointState.__msgtype__))
    return path


def test_a_joint_without_a_position_is_named(tmp_path: Path) -> None:
    names = list(FR3.joint_names)
    path = write_bag(tmp_path / "bag", [(0, names, [0.0] * 7), (1, names[:6], [0.0] * 6), (2, names, [0.0] * 6)])
    with BagReader(path) as bag:
        positions = arm_positions(bag, "/arm/states", FR3)
        next(positions)
        with pytest.raises(BagError, match="found 6 positions for"):
            next(positions)


def test_a_bag_without_the_arms_commands_or_states_names_what_it_has(tmp_path: Path) -> None:
    with BagReader(write_bag(tmp_path / "bag", [(0, ["panda_joint1"], [0.0])])) as bag:
        with pytest.raises(
            BagError, match=rf"expected the topics {TRAJECTORIES}, found only /arm/states \(sensor_msgs"
        ):
            arm_start(bag, FR3)
        with pytest.raises(BagError, match="expected a topic of sensor_msgs/msg/JointState with the joints"):
            joint_state_topic(bag, FR3)
        assert command_topic(FR3) == TRAJECTORIES


# -- what is no bag --------------------------------------------------------------------------------------------------------


def copied(name: str, folder: Path) -> Path:
    path = folder / name
    shutil.copytree(BAGS / name, path, copy_function=shutil.copyfile)
    return path


@every_bag
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5])
def test_a_truncated_bag_is_refused(name: str, share: float, tmp_path: Path) -> None:
    path = copied(name, tmp_path)
    whole = (path / FILES[name]).read_bytes()
    (path / FILES[name]).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BagError, match=f"{name}: expected a whole bag, found it broken or cut off"):
        BagReader(path)


def test_broken_bytes_in_the_middle_are_found_where_they_are_read(tmp_path: Path) -> None:
    path = copied("scene_mcap", tmp_path) / FILES["scene_mcap"]
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1000] = bytes(1000)
    path.write_bytes(data)
    with BagReader(path) as bag, pytest.raises(BagError, match="expected a whole message, found it broken"):
        list(bag.messages())


def test_what_is_no_bag_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="expected a bag, found nothing"):
        BagReader(tmp_path / "nothing")
    with pytest.raises(BagError, match=r"expected a bag with its metadata\.yaml"):
        BagReader(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(BagError, match=r"a file that ends in '\.mcap' or '\.db3'"):
        BagReader(tmp_path / "notes.txt")
    (tmp_path / "notes.mcap").write_text("hello")
    with pytest.raises(BagError, match="expected a whole bag"):
        BagReader(tmp_path / "notes.mcap")


def test_a_topic_that_is_not_in_the_bag_is_refused_with_those_that_are() -> None:
    with (
        BagReader(BAGS / "scene_sqlite3") as bag,
        pytest.raises(BagError, match=r"expected the topics /tf, found only .*/prompt \(std_msgs/msg/String\)"),
    ):
        list(bag.messages(["/prompt", "/tf"]))
