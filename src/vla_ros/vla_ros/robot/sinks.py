"""Where commands go: ros2_control's controllers and the gripper."""

from __future__ import annotations

from array import array
from typing import Protocol

from std_msgs.msg import Float64, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from control_msgs.action import GripperCommand
from vla_core.embodiment import Embodiment
from vla_core.embodiment.schema import Gripper
from vla_core.errors import LimitError
from vla_core.motion.plan import MotionPlan
from vla_ros import qos
from vla_ros.codecs.trajectories import trajectory_message
from vla_ros.host import NodeHost


class ArmSink(Protocol):
    """Sends plans to the arm's controller."""

    def send(self, plan: MotionPlan, changed: bool, now_ns: int) -> bool:
        """Sends what the controller needs now; returns whether anything was sent."""
        ...


class JointTrajectorySink:
    """Rolling trajectories to a joint_trajectory_controller: each plan whole, to its rest, whenever it has changed."""

    def __init__(self, host: NodeHost, embodiment: Embodiment) -> None:
        self._names = embodiment.joint_names
        self._publisher = host.publisher(JointTrajectory, f"/{embodiment.arm.name}/joint_trajectory", qos.command())

    def send(self, plan: MotionPlan, changed: bool, now_ns: int) -> bool:
        if changed:
            self._publisher.publish(trajectory_message(plan, self._names))
        return changed


class ForwardCommandSink:
    """Positions to a forward_command_controller, one for each control tick, until the plan is at rest."""

    def __init__(self, host: NodeHost, embodiment: Embodiment) -> None:
        self._period_ns = round(1e9 / embodiment.motion.control_rate_hz)
        self._publisher = host.publisher(Float64MultiArray, f"/{embodiment.arm.name}/commands", qos.command())

    def send(self, plan: MotionPlan, changed: bool, now_ns: int) -> bool:
        if plan.end_ns <= now_ns:
            return False
        position = plan.state_at(now_ns + self._period_ns).position
        self._publisher.publish(Float64MultiArray(data=array("d", position)))
        return True


def arm_sink(host: NodeHost, embodiment: Embodiment) -> ArmSink:
    """The sink for the controller that the embodiment names."""
    if embodiment.arm.kind == "forward_command":
        return ForwardCommandSink(host, embodiment)
    return JointTrajectorySink(host, embodiment)


class GripperSink:
    """Gripper targets as GripperCommand goals, each sent once, and on a topic, because goals cannot be recorded."""

    def __init__(self, host: NodeHost, gripper: Gripper) -> None:
        self._host = host
        self._gripper = gripper
        self._client = host.action_client(GripperCommand, gripper.goal_topic)
        self._publisher = host.publisher(Float64, gripper.command_topic, qos.command())

    def wait_for_server(self, within_s: float) -> None:
        """Waits until the middleware has found the gripper's action server, for so long [s]. Not for the loop."""
        self._client.wait_for_server(within_s)

    def require_server(self) -> None:
        """Raises LimitError if the gripper's action server is not there."""
        if not self._client.server_is_ready():
            raise LimitError(f"expected the gripper's action {self._gripper.goal_topic}, found no server")

    def send(self, target: float) -> None:
        """Sends a target [m per finger]."""
        goal = GripperCommand.Goal()
        goal.command.position = target
        goal.command.max_effort = self._gripper.max_effort
        self._host.when_answered(self._client.send_goal_async(goal), self._accepted)

    def announce(self, target: float) -> None:
        """Publishes the target that holds now, for recorders."""
        self._publisher.publish(Float64(data=target))

    def _accepted(self, goal_handle: object) -> None:
        if not getattr(goal_handle, "accepted", False):
            self._host.node.get_logger().error(f"{self._gripper.goal_topic} refused a goal; expected it to be accepted")
