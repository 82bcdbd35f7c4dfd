"""Where commands go: ros2_control's controllers and the gripper. What each kind needs: docs/action_spaces.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from std_msgs.msg import Float64
from trajectory_msgs.msg import JointTrajectory

from control_msgs.action import GripperCommand
from vla_core.action_spaces import CommandSpace
from vla_core.action_spaces.tcp import TcpPoses
from vla_core.embodiment import Embodiment
from vla_core.embodiment.schema import Gripper
from vla_core.errors import LimitError
from vla_core.execution.faults import Fault
from vla_core.motion.plan import MotionPlan
from vla_core.motion.travel import travelled
from vla_ros import qos
from vla_ros.codecs.geometry import path_message, pose_message
from vla_ros.codecs.trajectories import trajectory_message
from vla_ros.host import NodeHost
from vla_ros.robot.command_stream import StreamInLoop, StreamProcess, Ticks
from vla_ros.robot.state_messages import STATE_MESSAGES

_POSE = "geometry_msgs/msg/PoseStamped"


class ArmSink(Protocol):
    """Sends plans to the robot's controller.

    Attributes:
        ticks: of the commands, where the controller is told at every control tick where to be; None where it is told plans.
    """

    ticks: Ticks | None

    def send(self, plan: MotionPlan, changed: bool, now_ns: int) -> int:
        """Sends what the controller needs now; returns how many commands went out since the last call."""
        ...

    def fault(self, now_ns: int) -> Fault | None:
        """Why commands do not go out; None while all is well."""
        ...


class WholePlans:
    """A message for each plan, to its rest, whenever it has changed."""

    ticks: Ticks | None = None

    def __init__(self, host: NodeHost, kind: type, topic: str, message: Callable[[MotionPlan, int], Any]) -> None:
        self._publisher = host.publisher(kind, topic, qos.command())
        self._message = message

    def send(self, plan: MotionPlan, changed: bool, now_ns: int) -> int:
        if changed:
            self._publisher.publish(self._message(plan, now_ns))
        return int(changed)

    def fault(self, now_ns: int) -> Fault | None:
        return None


class TellingPose:
    """A sink that also tells where the tool is commanded to be, at every decision: recorders take poses from there."""

    def __init__(self, host: NodeHost, inner: ArmSink, topic: str, space: TcpPoses, frame: str) -> None:
        self._inner = inner
        self._space = space
        self._frame = frame
        self._publisher = host.publisher(PoseStamped, topic, qos.command())
        self.ticks = inner.ticks

    def send(self, plan: MotionPlan, changed: bool, now_ns: int) -> int:
        pose = self._space.pose(plan.state_at(now_ns).position)
        self._publisher.publish(pose_message(*pose, self._frame, now_ns))
        return self._inner.send(plan, changed, now_ns)

    def fault(self, now_ns: int) -> Fault | None:
        return self._inner.fault(now_ns)


def arm_sink(host: NodeHost, embodiment: Embodiment, space: CommandSpace, priority: int = 0) -> ArmSink:
    """The sink for the controller that the embodiment names.

    Args:
        host: of the node.
        embodiment: the robot.
        space: whose axes the plans have.
        priority: of SCHED_FIFO for a process that tells a controller at every tick where to be; 0: the usual scheduling.

    Raises:
        LimitError: that process did not start.
    """
    sink = _controller_sink(host, embodiment, space, priority)
    stream = embodiment.field(embodiment.action.fields[0])[1]
    if isinstance(space, TcpPoses) and embodiment.action.kind == "tcp_pose" and stream.type == _POSE:
        return TellingPose(host, sink, stream.topic, space, _frame(embodiment))
    return sink


def joint_trajectory_sink(host: NodeHost, embodiment: Embodiment) -> WholePlans:
    """Rolling trajectories to a joint_trajectory_controller."""
    topic = embodiment.arm.topic or f"/{embodiment.arm.name}/joint_trajectory"
    names = embodiment.joint_names
    return WholePlans(host, JointTrajectory, topic, lambda plan, _: trajectory_message(plan, names))


def _controller_sink(host: NodeHost, embodiment: Embodiment, space: CommandSpace, priority: int) -> ArmSink:
    kind, names, frame = embodiment.arm.kind, embodiment.joint_names, _frame(embodiment)
    if kind in STATE_MESSAGES:
        if host.pacer.holds_back:
            return StreamInLoop(host, embodiment, space, frame)
        return StreamProcess(host, embodiment, space, frame, priority)
    if kind == "base_path":
        way = embodiment.arm.topic or "/plan"
        return WholePlans(host, Path, way, lambda plan, now_ns: path_message(travelled(plan, names, now_ns), now_ns))
    return joint_trajectory_sink(host, embodiment)


def _frame(embodiment: Embodiment) -> str:
    """In which poses are told."""
    return (embodiment.kinematics.base if embodiment.kinematics else "") or "world"


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
