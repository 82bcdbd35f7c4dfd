"""What humans say while the arm is commanded: an emergency stop, a deadman switch, a teleoperator."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from vla_core.embodiment import Embodiment
from vla_core.errors import ChunkError
from vla_core.execution import Executor
from vla_ros import qos
from vla_ros.host import NodeHost


class HumanTopics:
    """Hands the topics that the embodiment declares to the executor.

    Args:
        host: of the node.
        embodiment: declares the topics.
        executor: is told.
    """

    def __init__(self, host: NodeHost, embodiment: Embodiment, executor: Executor) -> None:
        self._logger = host.node.get_logger()
        self._names = embodiment.action_names
        self._required = embodiment.joint_names
        self._executor = executor
        safety, teleoperation = embodiment.safety, embodiment.teleoperation
        if safety.emergency_stop is not None:
            host.subscribe(Bool, safety.emergency_stop.topic, self._on_emergency_stop, qos.command())
        if safety.deadman is not None:
            host.subscribe(Bool, safety.deadman.topic, self._on_deadman, qos.command())
        if teleoperation is not None:
            host.subscribe(JointState, teleoperation.topic, self._on_teleoperator, qos.stream())

    def _on_emergency_stop(self, message: Bool, receive_ns: int) -> None:
        self._executor.permission.emergency_stop(message.data)

    def _on_deadman(self, message: Bool, receive_ns: int) -> None:
        self._executor.permission.deadman(message.data, receive_ns)

    def _on_teleoperator(self, message: JointState, receive_ns: int) -> None:
        found = dict(zip(message.name, message.position, strict=False))
        missing = [name for name in self._required if name not in found]
        try:
            if missing:
                raise ChunkError(f"teleoperator: expected the joints {list(self._required)}, found none of {missing}")
            action = np.array([found.get(name, np.nan) for name in self._names])
            self._executor.teleoperate(action, receive_ns)
        except ChunkError as error:
            self._logger.warning(str(error), throttle_duration_sec=1.0)
