"""Where the arm is, for arming: as its controller holds it, and as it is measured."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from control_msgs.msg import JointTrajectoryControllerState
from vla_core.embodiment import Embodiment
from vla_core.errors import LimitError, VlaError
from vla_core.execution.robot_watch import RobotWatch
from vla_ros import qos
from vla_ros.codecs.definitions import message_type
from vla_ros.codecs.fields import StreamCodec
from vla_ros.host import NodeHost

_FRESH_NS = 500_000_000


class ArmState:
    """Keeps the newest measured state of the joints and, for a joint trajectory controller, its reference.

    The first command must begin where the controller holds the arm, which differs from the measurement by the tracking error.

    Args:
        host: of the node.
        embodiment: the robot.
        watch: is told all of it too; None: nobody watches.
    """

    def __init__(self, host: NodeHost, embodiment: Embodiment, watch: RobotWatch | None = None) -> None:
        self._embodiment = embodiment
        self._clock = host.clock
        self._watch = watch
        self._logger = host.node.get_logger()
        drives = embodiment.action.kind in ("base_velocity", "base_waypoints")  # a base has no position to begin from
        self._position = np.full(len(embodiment.joints), 0.0 if drives else np.nan)
        self._velocity = np.full(len(embodiment.joints), np.nan)
        self._needed = self._velocity if drives else self._position
        self._measured_ns: int | None = None
        self._reference: NDArray[np.float64] | None = None
        self._reference_ns: int | None = None
        self._finger: float | None = None
        self._problems: dict[str, str] = {}  # stream to why its last message could not be read
        for name in {reference.partition(".")[0] for group in ("qpos", "qvel") for reference in self._group(group)}:
            self._subscribe(host, name)
        if embodiment.arm.kind == "joint_trajectory":
            topic = f"/{embodiment.arm.name}/controller_state"
            host.subscribe(JointTrajectoryControllerState, topic, self._on_controller_state, qos.stream(), wakes=False)

    @property
    def position(self) -> NDArray[np.float64]:
        """Measured positions (n,) [rad or m]; NaN before the first message."""
        return self._position.copy()

    @property
    def finger(self) -> float | None:
        """Measured gripper position [m per finger]; None without a gripper or before the first message."""
        return self._finger

    def wait_for_controller(self, within_s: float = 2.0) -> None:
        """Waits until the controller says where it holds the arm: it may just have been activated. Not for the loop."""
        until = time.monotonic() + within_s
        while not self._controller_speaks(self._clock.now_ns()) and time.monotonic() < until:
            time.sleep(0.01)

    def position_to_arm_from(self, now_ns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Position to begin at, and measured velocity, each (n,) [rad, rad/s].

        Raises:
            LimitError: something is missing or old, with its name.
        """
        if self._problems:
            raise LimitError("not armed: " + "; ".join(self._problems.values()))
        if self._measured_ns is None or now_ns - self._measured_ns > _FRESH_NS or np.isnan(self._needed).any():
            raise LimitError("expected fresh joint states before arming, found none; is the robot's driver running?")
        if self._embodiment.arm.kind != "joint_trajectory":
            return self._position.copy(), self._velocity.copy()
        if self._reference is None or not self._controller_speaks(now_ns):
            raise LimitError(
                f"expected the controller '{self._embodiment.arm.name}' to be active before arming, found no fresh message on "
                f"/{self._embodiment.arm.name}/controller_state"
            )
        return self._reference.copy(), self._velocity.copy()

    def _controller_speaks(self, now_ns: int) -> bool:
        if self._embodiment.arm.kind != "joint_trajectory":
            return True
        return self._reference_ns is not None and now_ns - self._reference_ns <= _FRESH_NS

    def _group(self, name: str) -> tuple[str, ...]:
        return self._embodiment.proprioception.get(name, ())  # type: ignore[call-overload, no-any-return]

    def _subscribe(self, host: NodeHost, name: str) -> None:
        stream = self._embodiment.streams[name]
        codec = StreamCodec(name, stream)
        of_arm = self._embodiment.joints[0].name in stream.names_of(next(iter(stream.fields)))

        def handle(message: Any, receive_ns: int) -> None:
            try:
                values = codec.read(message)
            except VlaError as error:
                self._problems[name] = str(error)
                if of_arm and self._watch:
                    self._watch.malformed(str(error))
                self._logger.error(str(error), throttle_duration_sec=5.0)
                return
            self._problems.pop(name, None)
            self._take("qpos", self._position, name, values)
            self._take("qvel", self._velocity, name, values)
            self._take_finger(name, values)
            if of_arm:
                self._measured_ns = receive_ns
                if self._watch:
                    self._watch.measured(self.position, codec.stamp_ns(message) or receive_ns, receive_ns)

        # taken behind each control tick, and not a thousand times a second: one of them would often be in a tick's way
        host.subscribe(
            message_type(stream.type), stream.topic, handle, qos.stream(200, stream.reliability), wakes=False
        )

    def _take(self, group: str, target: NDArray[np.float64], name: str, values: NDArray[np.float64]) -> None:
        """Puts the joints' elements of a stream's vector where they belong."""
        for reference in self._group(group):
            stream_name, _, field_name = reference.partition(".")
            if stream_name != name:
                continue
            stream = self._embodiment.streams[name]
            part = values[stream.slice_of(field_name)]
            for index, joint in enumerate(self._embodiment.joint_names):
                if joint in stream.names_of(field_name):
                    target[index] = part[stream.names_of(field_name).index(joint)]

    def _take_finger(self, name: str, values: NDArray[np.float64]) -> None:
        gripper = self._embodiment.gripper
        if gripper is not None and gripper.state.partition(".")[0] == name:
            self._finger = float(values[self._embodiment.streams[name].slice_of(gripper.state.partition(".")[2])][0])

    def _on_controller_state(self, message: JointTrajectoryControllerState, receive_ns: int) -> None:
        names = list(message.joint_names)
        if set(names) != set(self._embodiment.joint_names) or len(message.reference.positions) != len(names):
            return
        order = [names.index(joint) for joint in self._embodiment.joint_names]
        self._reference = np.array(message.reference.positions)[order]
        self._reference_ns = receive_ns
        if self._watch and len(message.feedback.positions) == len(names):
            self._watch.reported(self._reference, np.array(message.feedback.positions)[order], receive_ns)
