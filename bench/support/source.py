"""A process that publishes numbered images and joint states at steady rates: ``python -m bench.support.source START_NS``.

Joint 1 is the time since START_NS in seconds, so that interpolation between any two messages gives the true value; joint 2 is the
number of the message. Messages are serialized once and changed in place: this process has to be cheaper than what it feeds.
"""

from __future__ import annotations

import signal
import struct
import sys
import time

import numpy as np
import rclpy
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, JointState

from bench.support.pictures import picture, write_number
from bench.support.processes import READY
from bench.support.robot import JOINTS, Robot
from vla_ros.codecs.images import image_message

_PICTURES = 4  # different ones of each camera
_PHASE_TICKS = 2  # joint messages between one camera's image and the next one's
_STAMP = struct.Struct("<iI")
_STAMP_AT = 4
_PLACEHOLDERS = (12345.678, 87654.321)


class NumberedImages:
    """The images of one camera as serialized messages."""

    def __init__(self, robot: Robot, camera: int) -> None:
        shape = (robot.height, robot.width, 3)
        self._messages: list[bytearray] = []
        self._pixels = []
        for number in range(_PICTURES):
            image = picture(robot.height, robot.width, seed=camera * _PICTURES + number)
            data = bytearray(serialize_message(image_message(image, 0, "camera")))
            begin = data.index(image[-1].tobytes()) - image[:-1].size
            self._messages.append(data)
            self._pixels.append(np.frombuffer(data, np.uint8, image.size, begin).reshape(shape))

    def message(self, number: int, stamp_ns: int) -> bytes:
        data = self._messages[number % _PICTURES]
        write_number(self._pixels[number % _PICTURES], number)
        _STAMP.pack_into(data, _STAMP_AT, *divmod(stamp_ns, 10**9))
        return bytes(data)


class NumberedJoints:
    """Joint states as serialized messages."""

    def __init__(self) -> None:
        values = [*_PLACEHOLDERS, *(0.1 * number for number in range(len(JOINTS) - 2))]
        still = [0.0] * len(JOINTS)
        message = JointState(name=list(JOINTS), position=values, velocity=still, effort=still)
        self._data = bytearray(serialize_message(message))
        self._at = self._data.index(struct.pack("<dd", *_PLACEHOLDERS))

    def message(self, number: int, stamp_ns: int, since_s: float) -> bytes:
        _STAMP.pack_into(self._data, _STAMP_AT, *divmod(stamp_ns, 10**9))
        struct.pack_into("<dd", self._data, self._at, since_s, number)
        return bytes(self._data)


def kept(rate_hz: float) -> QoSProfile:
    """Two seconds of messages wait for a subscriber: where this process was held up, it sends many at once."""
    return QoSProfile(depth=round(2 * rate_hz))


def publish(robot: Robot, start_ns: int) -> None:
    """Publishes until the process is ended."""
    node = rclpy.create_node("bench_source")
    joints, joint_topic = (
        NumberedJoints(),
        node.create_publisher(JointState, robot.topic("joints"), kept(robot.joint_rate_hz)),
    )
    cameras = [
        (
            NumberedImages(robot, number),
            node.create_publisher(Image, robot.topic(role), kept(robot.rate_hz)),
            number * _PHASE_TICKS,
        )
        for number, role in enumerate(robot.roles)
    ]
    ticks_per_image = robot.joint_rate_hz / robot.rate_hz
    print(READY, flush=True)
    begin, begin_ns = time.monotonic(), time.time_ns()
    tick = 0
    while True:
        wait_s = begin + tick / robot.joint_rate_hz - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        stamp_ns = begin_ns + round(tick * 1e9 / robot.joint_rate_hz)  # as sensors do, however late this process is
        joint_topic.publish(joints.message(tick, stamp_ns, (stamp_ns - start_ns) * 1e-9))
        for images, topic, phase in cameras:
            number = int((tick - phase) / ticks_per_image)
            if tick >= phase and number != int((tick - phase - 1) / ticks_per_image):
                topic.publish(images.message(number, stamp_ns))
        tick += 1


def main() -> None:
    rclpy.init(signal_handler_options=rclpy.SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    publish(Robot(), int(sys.argv[1]))


if __name__ == "__main__":
    main()
