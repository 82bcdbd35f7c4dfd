"""What franka_ros2, joint_state_broadcaster and the trajectory controller publish."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from control_msgs.msg import JointTrajectoryControllerState
from vla_core.embodiment import Embodiment
from vla_ros import qos
from vla_ros.host import NodeHost
from vla_ros.time import to_time
from vla_sim.robot import CycleLog

_MERGED_HZ = 30.0  # joint_state_publisher of franka_bringup
_CONTROLLER_HZ = 100.0
_FINGERS_HZ = 30.0
_DEPTH = 200
FINGERS = ("fr3_finger_joint1", "fr3_finger_joint2")


class StatePublishers:
    """Publishes the cycles of a :class:`CycleLog`: each topic at its rate, each message with the stamp of its cycle."""

    def __init__(self, host: NodeHost, embodiment: Embodiment, joint_state_rate_hz: float) -> None:
        self._joints = list(embodiment.joint_names)
        self._fingers = list(FINGERS)
        self._arm_name = embodiment.arm.name
        stream = qos.stream(_DEPTH)
        self._arm = host.publisher(JointState, "/franka/joint_states", stream)
        self._gripper = host.publisher(JointState, "/franka_gripper/joint_states", stream)
        self._merged = host.publisher(JointState, "/joint_states", stream)
        self._controller = host.publisher(JointTrajectoryControllerState, f"/{self._arm_name}/controller_state", stream)
        self._arm_due = _Due(joint_state_rate_hz)
        self._gripper_due = _Due(_FINGERS_HZ)
        self._merged_due = _Due(_MERGED_HZ)
        self._controller_due = _Due(_CONTROLLER_HZ)

    def publish(self, log: CycleLog) -> None:
        """Publishes what is due in these cycles."""
        for row in self._arm_due.rows(log.time_ns):
            self._arm.publish(self._arm_state(log, row))
        for row in self._gripper_due.rows(log.time_ns):
            self._gripper.publish(self._gripper_state(log, row))
        for row in self._merged_due.rows(log.time_ns):
            self._merged.publish(_merged(self._arm_state(log, row), self._gripper_state(log, row)))
        if self._arm_name in log.references:
            for row in self._controller_due.rows(log.time_ns):
                self._controller.publish(self._controller_state(log, row))

    def _arm_state(self, log: CycleLog, row: int) -> JointState:
        return _joint_state(self._joints, log.time_ns[row], log.position[row], log.velocity[row], log.effort[row])

    def _gripper_state(self, log: CycleLog, row: int) -> JointState:
        return _joint_state(
            self._fingers, log.time_ns[row], log.finger_position[row], log.finger_velocity[row], log.finger_effort[row]
        )

    def _controller_state(self, log: CycleLog, row: int) -> JointTrajectoryControllerState:
        position, velocity, acceleration = log.references[self._arm_name][row]
        message = JointTrajectoryControllerState(joint_names=self._joints)
        message.header.stamp = to_time(int(log.time_ns[row]))
        message.reference.positions = array("d", position)
        message.reference.velocities = array("d", velocity)
        message.reference.accelerations = array("d", acceleration)
        message.feedback.positions = array("d", log.position[row])
        message.feedback.velocities = array("d", log.velocity[row])
        message.error.positions = array("d", position - log.position[row])
        message.error.velocities = array("d", velocity - log.velocity[row])
        message.output.positions = array("d", log.command[row])
        message.speed_scaling_factor = 1.0
        return message


class _Due:
    """Which cycles a topic of some rate is published in: the first at or after every multiple of its period."""

    def __init__(self, rate_hz: float) -> None:
        self._period_ns = round(1e9 / rate_hz)
        self._last = -1

    def rows(self, times_ns: NDArray[np.int64]) -> Iterator[int]:
        for row, number in enumerate(times_ns // self._period_ns):
            if number != self._last:
                self._last = number
                yield row


def _joint_state(
    names: Sequence[str], stamp_ns: int, position: Sequence[float], velocity: Sequence[float], effort: Sequence[float]
) -> JointState:
    message = JointState(
        name=names, position=array("d", position), velocity=array("d", velocity), effort=array("d", effort)
    )
    message.header.stamp = to_time(int(stamp_ns))
    return message


def _merged(first: JointState, second: JointState) -> JointState:
    return JointState(
        header=first.header,
        name=[*first.name, *second.name],
        position=first.position + second.position,
        velocity=first.velocity + second.velocity,
        effort=first.effort + second.effort,
    )
