"""Sends the commands of a bag to the robot's controllers again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from vla_core.embodiment import Embodiment
from vla_recorder.bags import BagReader
from vla_recorder.bags.arm import arm_start, command_topic
from vla_recorder.playback.bag_source import BagSource
from vla_recorder.playback.ros.messages import Move, message_from
from vla_recorder.playback.source import Event, PlaybackError
from vla_ros import qos
from vla_ros.host import NodeHost
from vla_ros.robot.arm_state import ArmState
from vla_ros.robot.sinks import GripperSink
from vla_ros.time import to_duration, to_ns

_START_DISTANCE = 0.1  # a controller goes from where the arm is to a trajectory's first point in one go [rad or m]
_ANNOUNCE_NS = 50_000_000


class CommandPlayer:
    """Trajectories to the arm's controller as they were sent, gripper targets as goals when they change.

    What was recorded is sent unchecked, except that the arm must stand where it stood then: no limit is watched. That is for a
    simulated robot; a real one gets an episode's actions by replay_node and command_node.

    Args:
        host: of the node.
        embodiment: names the controllers.
        path: of the bag.
        speed: trajectories are stretched in time by its inverse.

    Raises:
        BagError: the bag has no commands for this arm, or no joint states.
    """

    def __init__(self, host: NodeHost, embodiment: Embodiment, path: Path, speed: float) -> None:
        self._embodiment = embodiment
        self._speed = speed
        self._arm_topic = command_topic(embodiment)
        with BagReader(path) as bag:
            self._start = arm_start(bag, embodiment).position
            gripper = (
                embodiment.gripper if embodiment.gripper and embodiment.gripper.command_topic in bag.topics else None
            )
        self.topics: tuple[str, ...] = (self._arm_topic, *([gripper.command_topic] if gripper else []))
        self.source = BagSource(path, self.topics)
        self._trajectories = host.publisher(JointTrajectory, self._arm_topic, qos.command())
        self._state = ArmState(host, embodiment)
        self._gripper = GripperSink(host, gripper) if gripper else None
        self._target: float | None = None
        if self._gripper:
            host.every(_ANNOUNCE_NS, self._announce)

    def check(self, now_ns: int) -> None:
        """Raises LimitError or PlaybackError if the robot is not there, or stands somewhere else than when it was recorded."""
        if self._gripper:
            self._gripper.require_server()
        self._target = None
        position, _ = self._state.position_to_arm_from(now_ns)
        distance = np.abs(position - self._start)
        joint = int(np.argmax(distance))
        if distance[joint] > _START_DISTANCE:
            raise PlaybackError(
                f"expected the arm within {_START_DISTANCE} of where it stood when it was recorded, found "
                f"{self._embodiment.joint_names[joint]} at {position[joint]:.3f} instead of {self._start[joint]:.3f}"
            )

    def play(self, event: Event, move: Move) -> bool:
        """Sends a command, if it changes anything; returns True: it was taken into account."""
        message = message_from(event.value, move)
        if event.topic == self._arm_topic:
            self._trajectories.publish(stretched(message, self._speed))
        elif self._gripper and message.data != self._target:
            self._target = message.data
            self._gripper.send(message.data)
        return True

    def _announce(self, now_ns: int) -> None:
        target = self._state.finger if self._target is None else self._target
        if self._gripper and target is not None:
            self._gripper.announce(target)


def stretched(trajectory: JointTrajectory, speed: float) -> JointTrajectory:
    """The same path ``speed`` times as fast: its times divided, its velocities and accelerations multiplied. In place."""
    if speed == 1.0:
        return trajectory
    for point in trajectory.points:
        point.time_from_start = to_duration(round(to_ns(point.time_from_start) / speed))
        point.velocities = [value * speed for value in point.velocities]
        point.accelerations = [value * speed**2 for value in point.accelerations]
    return trajectory
