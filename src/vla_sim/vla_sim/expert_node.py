"""expert_node: a scripted expert that acts through the robot's own topics only, as a teleoperator does."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field as Constraint
from std_srvs.srv import SetBool
from vla_msgs.msg import CommandStatus, ObjectPoses, SimStatus

from vla_core.embodiment import JointLimits, load_embodiment
from vla_core.errors import VlaError
from vla_ros import names, params, qos
from vla_ros.host import NodeHost
from vla_ros.nodes import run_node
from vla_ros.robot.arm_state import ArmState
from vla_ros.robot.sinks import GripperSink, joint_trajectory_sink
from vla_sim.expert import ExpertSettings, PickPlaceExpert
from vla_sim.expert.pick_place import with_disturbance
from vla_sim.models.robot_model import shipped_model
from vla_sim.plant import Pose
from vla_sim.tasks.pick_place import PickPlace

_TICK_NS = 30_000_000
_ANNOUNCE_NS = 50_000_000


@dataclass(frozen=True)
class ExpertParameters:
    """Parameters of expert_node."""

    embodiment: str = field(metadata={"doc": "embodiment file (YAML)"})
    task: str = field(metadata={"doc": "task file (YAML)"})
    disturbance: Annotated[float, Constraint(ge=0, le=1)] = field(
        default=0.0, metadata={"doc": "how likely a movement is to drift off its way and back"}
    )


class ExpertNode:
    """Looks at joints, fingers and objects; sends rolling trajectories and gripper goals while it is told to act."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host
        parameters = params.declare(host.node, ExpertParameters)
        embodiment = load_embodiment(Path(parameters.embodiment))
        if embodiment.gripper is None:
            raise VlaError(f"embodiment '{embodiment.name}': expected a gripper for the task, found none")
        task = PickPlace.load(Path(parameters.task))
        settings = with_disturbance(
            ExpertSettings(open=embodiment.gripper.open, closed=embodiment.gripper.closed), parameters.disturbance
        )
        self._expert = PickPlaceExpert(shipped_model("fr3"), JointLimits.of(embodiment), task.settings, settings)
        self._state = ArmState(host, embodiment)
        self._arm = joint_trajectory_sink(host, embodiment)
        self._gripper = GripperSink(host, embodiment.gripper)
        self._objects: dict[str, Pose] = {}
        self._seed = 0
        self._acting = False
        self._target: float | None = None
        self._others_command = False
        host.subscribe(ObjectPoses, names.OBJECT_POSES, self._on_objects, qos.stream(10))
        host.subscribe(SimStatus, names.SIM_STATUS, self._on_status, qos.latched())
        host.subscribe(CommandStatus, names.COMMAND_STATUS, self._on_command_status, qos.latched())
        host.service(SetBool, names.EXPERT_ACT, self._on_act)
        host.every(_TICK_NS, self._on_tick)
        host.every(_ANNOUNCE_NS, self._announce)

    def close(self) -> None:
        return

    def _on_objects(self, message: ObjectPoses, receive_ns: int) -> None:
        self._objects = {name: _pose(pose) for name, pose in zip(message.names, message.poses, strict=True)}

    def _on_status(self, message: SimStatus, receive_ns: int) -> None:
        self._seed = message.seed

    def _on_command_status(self, message: CommandStatus, receive_ns: int) -> None:
        self._others_command = message.state not in (CommandStatus.UNCONFIGURED, CommandStatus.READY)

    def _on_act(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        now_ns = self._host.clock.now_ns()
        try:
            if request.data:
                self._gripper.require_server()
                position, _ = self._state.position_to_arm_from(now_ns)
                self._expert.reset(now_ns, position, self._seed)
            self._acting, self._target = request.data, None
            response.success = True
        except VlaError as error:
            response.message = str(error)
        return response

    def _on_tick(self, now_ns: int) -> None:
        finger = self._state.finger
        if not self._acting or finger is None or not self._objects:
            return
        try:
            command = self._expert.act(now_ns, self._state.position, finger, self._objects)
        except VlaError as error:
            self._acting = False
            self._host.node.get_logger().error(f"the expert gave up: {error}")
            return
        self._arm.send(command.plan, True, now_ns)
        if command.gripper != self._target:
            self._gripper.send(command.gripper)
            self._target = command.gripper
        self._acting = not command.done

    def _announce(self, now_ns: int) -> None:
        """Tells what the gripper is asked for; but only one may, and an armed command_node is it."""
        if self._others_command:
            return
        finger = self._state.finger
        target = self._target if self._target is not None else finger
        if target is not None:
            self._gripper.announce(target)


def _pose(message: Any) -> Pose:
    position, turn = message.position, message.orientation
    return Pose(np.array([position.x, position.y, position.z]), np.array([turn.w, turn.x, turn.y, turn.z]))


def main() -> int:
    return run_node("expert_node", ExpertNode)


if __name__ == "__main__":
    sys.exit(main())
