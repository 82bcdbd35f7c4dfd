"""Fields out of serialized messages: the numbers of typed ones, in both byte orders, and nothing out of broken ones."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from rclpy.serialization import serialize_message  # noqa: E402
from rosbags.serde.errors import SerdeError  # noqa: E402
from rosbags.typesys import Stores, get_typestore  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

from vla_core.embodiment.schema import Align, Elements, Field, Stream  # noqa: E402
from vla_core.errors import StreamError  # noqa: E402
from vla_ros.codecs.definitions import (  # noqa: E402
    Array,
    Kind,
    Number,
    Struct,
    Text,
    definition_of,
    is_numeric,
    message_type,
)
from vla_ros.codecs.fields import StreamCodec  # noqa: E402
from vla_ros.codecs.serialized import SerializedStreamCodec  # noqa: E402

pytestmark = pytest.mark.ros
ALIGN = Align("latest_before", 50.0)
TYPES = (
    "sensor_msgs/msg/JointState",
    "sensor_msgs/msg/Imu",
    "sensor_msgs/msg/MultiDOFJointState",
    "sensor_msgs/msg/NavSatFix",
    "sensor_msgs/msg/BatteryState",
    "sensor_msgs/msg/PointCloud2",
    "sensor_msgs/msg/LaserScan",
    "sensor_msgs/msg/CameraInfo",
    "sensor_msgs/msg/Joy",
    "geometry_msgs/msg/Wrench",
    "geometry_msgs/msg/WrenchStamped",
    "geometry_msgs/msg/PoseWithCovarianceStamped",
    "geometry_msgs/msg/TwistStamped",
    "geometry_msgs/msg/PolygonStamped",
    "trajectory_msgs/msg/JointTrajectory",
    "std_msgs/msg/Float64",
    "std_msgs/msg/Float32MultiArray",
    "std_msgs/msg/UInt8MultiArray",
    "std_msgs/msg/Bool",
    "control_msgs/msg/JointTrajectoryControllerState",
    "diagnostic_msgs/msg/DiagnosticArray",
    "vla_msgs/msg/ActionChunk",
    "vla_msgs/msg/RecorderStatus",
)


def number(kind: Number, rng: np.random.Generator) -> Any:
    if kind.code == "b1":
        return bool(rng.integers(2))
    dtype = np.dtype(kind.code)
    if dtype.kind == "f":
        return float(rng.normal(0, 100)) if kind.code == "f8" else float(np.float32(rng.normal(0, 100)))
    limits = np.iinfo(dtype)
    return int(rng.integers(limits.min, limits.max, endpoint=True, dtype=dtype))


def fill(message: Any, definition: Struct, rng: np.random.Generator) -> Any:
    """Gives all fields of a message random values and random lengths."""
    for name, kind in definition.fields.items():
        setattr(message, name, value_of(kind, getattr(message, name), rng))
    return message


def value_of(kind: Kind, present: Any, rng: np.random.Generator) -> Any:
    if isinstance(kind, Number):
        return rng.bytes(1) if isinstance(present, bytes) else number(kind, rng)
    if isinstance(kind, Text):
        return "".join(rng.choice(list("abcdefg_0"), rng.integers(0, 9)))
    if isinstance(kind, Struct):
        return fill(present, kind, rng)
    length = kind.length if isinstance(kind, Array) else int(rng.integers(0, 5))
    if isinstance(kind.element, Struct):
        made = message_type(MADE_OF[kind.element.name])
        return [fill(made(), kind.element, rng) for _ in range(length)]
    return [value_of(kind.element, None, rng) for _ in range(length)]


@cache
def full_names() -> Mapping[str, str]:
    packages = ("std", "geometry", "sensor", "trajectory", "diagnostic", "control", "vla", "builtin_interfaces")
    names = {}
    for package in packages:
        module = package if package == "builtin_interfaces" else f"{package}_msgs"
        for found in vars(__import__(f"{module}.msg", fromlist=["msg"])).values():
            if isinstance(found, type):
                names[found.__name__] = f"{module}/msg/{found.__name__}"
    return names


MADE_OF = full_names()


def numeric_paths(definition: Struct, path: str = "") -> Iterator[str]:
    """Every field that consists of numbers, and of these again every field."""
    for name, kind in definition.fields.items():
        if is_numeric(kind):
            yield path + name
        if isinstance(kind, Struct):
            yield from numeric_paths(kind, f"{path}{name}.")


def stream_of(type_name: str, fields: Mapping[str, Sequence[str]], elements: Elements | None = None) -> Stream:
    declared = {f"field{number}": Field(path, "1", tuple(names)) for number, (path, names) in enumerate(fields.items())}
    return Stream("/topic", type_name, 100.0, ALIGN, declared, elements)


def size_at(message: Any, path: str) -> int:
    """How many numbers a field holds, counted without the code under test."""

    def count(value: Any) -> int:
        if hasattr(value, "get_fields_and_field_types"):
            return sum(count(getattr(value, name)) for name in value.get_fields_and_field_types())
        return sum(map(count, value)) if hasattr(value, "__len__") and not isinstance(value, bytes) else 1

    for name in path.split("."):
        message = getattr(message, name)
    return count(message)


@cache
def typestore() -> Any:
    return get_typestore(Stores.ROS2_JAZZY)


def big_endian(data: bytes, type_name: str) -> bytes:
    store = typestore()
    while True:
        try:
            message = store.deserialize_cdr(data, type_name)
        except SerdeError:  # "size mismatch": rclpy leaves bytes at the end that belong to nothing
            data = data[:-1]
        else:
            return bytes(store.serialize_cdr(message, type_name, little_endian=False))


@pytest.mark.parametrize("type_name", TYPES)
def test_serialized_messages_give_the_numbers_of_typed_ones(type_name: str) -> None:
    kind = message_type(type_name)
    definition = definition_of(kind)
    paths = list(numeric_paths(definition))
    assert paths or type_name.startswith("diagnostic")
    swapped = type_name in typestore().fielddefs
    for seed in range(8):
        rng = np.random.default_rng(seed)
        message = fill(kind(), definition, rng)
        data = serialize_message(message)
        picked = [paths[index] for index in rng.permutation(len(paths))[:3]]
        for wanted in [*([path] for path in paths), picked]:
            if not wanted or not all(size_at(message, path) for path in wanted):
                continue
            fields = {path: [f"n{number}" for number in range(size_at(message, path))] for path in wanted}
            stream = stream_of(type_name, fields)
            expected = StreamCodec("s", stream).read(message)
            codec = SerializedStreamCodec("s", stream, definition)
            np.testing.assert_array_equal(codec.read(data), expected, err_msg=f"{wanted} {seed}")
            if swapped:
                np.testing.assert_array_equal(codec.read(big_endian(data, type_name)), expected)
            np.testing.assert_array_equal(codec.read(data), expected)
            if "header" in definition.fields:
                assert codec.stamp_ns(data) == StreamCodec("s", stream).stamp_ns(message)


def joint_state(names: Sequence[str], values: Sequence[float], frame: str = "base") -> JointState:
    message = JointState(name=list(names), position=list(values), velocity=[10 * value for value in values])
    message.header.frame_id = frame
    return message


JOINTS = stream_of("sensor_msgs/msg/JointState", {"position": (), "velocity": ()}, Elements("name", ("b", "a")))


def test_elements_are_picked_by_name_however_messages_change() -> None:
    codec = SerializedStreamCodec("joints", JOINTS, definition_of(JointState))
    for message in (
        joint_state(["a", "b", "c"], [1, 2, 3]),
        joint_state(["a", "b", "c"], [4, 5, 6]),
        joint_state(["c", "a", "b"], [7, 8, 9]),  # lengths as before, names not
        joint_state(["c", "a", "b"], [7, 8, 9], frame="another, longer one"),
        joint_state(["b", "a"], [1, 2]),
    ):
        expected = StreamCodec("joints", JOINTS).read(message)
        assert list(expected) == [
            factor * message.position[message.name.index(name)] for factor in (1, 10) for name in ("b", "a")
        ]
        np.testing.assert_array_equal(codec.read(serialize_message(message)), expected)


def test_a_message_that_does_not_hold_what_is_declared_is_refused_like_a_typed_one() -> None:
    bad = (
        joint_state(["a", "c"], [1, 2]),
        JointState(name=["a", "b"], position=[1.0], velocity=[1.0, 2.0]),
        JointState(name=["a", "b"], position=[1.0, 2.0]),
        JointState(),
    )
    good = joint_state(["a", "b"], [1, 2])
    codec, typed = SerializedStreamCodec("joints", JOINTS, definition_of(JointState)), StreamCodec("joints", JOINTS)
    for message in bad:
        codec.read(serialize_message(good))
        for _ in range(2):  # as long as it lasts
            with pytest.raises(StreamError) as found:
                codec.read(serialize_message(message))
        with pytest.raises(StreamError) as expected:
            typed.read(message)
        assert str(found.value) == str(expected.value)


def test_every_cut_is_found() -> None:
    data = serialize_message(joint_state(["a", "b"], [1, 2]))
    end = data.index(struct.pack("<d", 20.0)) + 8  # the last velocity; nobody has asked for the efforts
    codec = SerializedStreamCodec("joints", JOINTS, definition_of(JointState))
    whole = codec.read(data)
    np.testing.assert_array_equal(codec.read(data[:end]), whole)
    for length in range(end):
        fresh = SerializedStreamCodec("joints", JOINTS, definition_of(JointState))
        for one in (codec, fresh):
            with pytest.raises(StreamError, match=r"cut off|CDR"):
                one.read(data[:length])
        if length < 12:
            with pytest.raises(StreamError, match=r"header|CDR"):
                codec.stamp_ns(data[:length])


def test_random_bytes_are_refused_and_nothing_worse() -> None:
    rng = np.random.default_rng(0)
    codec = SerializedStreamCodec("joints", JOINTS, definition_of(JointState))
    for _ in range(500):
        data = b"\x00\x01\x00\x00" + rng.bytes(int(rng.integers(0, 200)))
        with pytest.raises(StreamError):
            codec.read(data)


def test_another_form_of_serialization_is_refused_by_name() -> None:
    data = b"\x00\x07" + serialize_message(joint_state(["a", "b"], [1, 2]))[2:]
    codec = SerializedStreamCodec("joints", JOINTS, definition_of(JointState))
    for read in (codec.read, codec.stamp_ns):
        with pytest.raises(StreamError, match="expected CDR, version 1, found 00 07"):
            read(data)


@pytest.mark.parametrize(
    ("fields", "elements", "expected"),
    [
        ({"positions": ("a",)}, None, "expected one of the fields header, name, position.*found 'positions'"),
        ({"header.stamp.sec.x": ("a",)}, None, "expected a number, found 'x'"),
        ({"header": ("a",)}, None, "field header: expected numbers in JointState, found strings"),
        ({"position": ()}, Elements("effort", ("a",)), "elements effort: expected a list of strings"),
    ],
)
def test_what_a_type_does_not_have_is_found_before_the_first_message(
    fields: Mapping[str, Sequence[str]], elements: Elements | None, expected: str
) -> None:
    with pytest.raises(StreamError, match=expected):
        SerializedStreamCodec("s", stream_of("sensor_msgs/msg/JointState", fields, elements), definition_of(JointState))


def test_a_bag_reads_as_the_live_stream_does() -> None:
    """Messages of rosbags, which are dataclasses, flatten as those of rclpy do."""
    kind = message_type("geometry_msgs/msg/WrenchStamped")
    message = fill(kind(), definition_of(kind), np.random.default_rng(3))
    data = serialize_message(message)
    stream = stream_of("geometry_msgs/msg/WrenchStamped", {"wrench": ("fx", "fy", "fz", "tx", "ty", "tz")})
    offline = typestore().deserialize_cdr(data, "geometry_msgs/msg/WrenchStamped")
    np.testing.assert_array_equal(
        StreamCodec("wrench", stream).read(offline),
        SerializedStreamCodec("wrench", stream, definition_of(kind)).read(data),
    )


def test_a_type_without_a_fixed_form_is_left_to_typed_messages() -> None:
    from rosidl_parser.definition import UnboundedWString

    class Wide:
        SLOT_TYPES = (UnboundedWString(),)

        @classmethod
        def get_fields_and_field_types(cls) -> dict[str, str]:
            return {"text": "wstring"}

    with pytest.raises(StreamError, match="expected numbers, strings and messages of them"):
        definition_of(Wide)
