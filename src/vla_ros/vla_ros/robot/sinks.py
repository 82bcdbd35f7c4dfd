"""Where commands go: ros2_control's controllers and the gripper. What each kind needs: docs/action_spaces.md."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any, Protocol

from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Path
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from control_msgs.action import GripperCommand
from vla_core.action_spaces import CommandSpace
from vla_core.action_spaces.cartesian import CartesianPoses
from vla_core.action_spaces.tcp import TcpPoses
from vla_core.embodiment import Embodiment
from vla_core.embodiment.schema import Gripper
from vla_core.errors import LimitError
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import State
from vla_core.motion.travel import travelled
from vla_ros import qos
from vla_ros.codecs.geometry import path_message, pose_message, twist_message
from vla_ros.codecs.trajectories import trajectory_message
from vla_ros.host import NodeHost
from vla_ros.time import to_time

_POSE = "geometry_msgs/msg/PoseStamped"


class ArmSink(Protocol):
    """Sends plans to the robot's controller."""

    def send(self, plan: MotionPlan, changed: bool, now_ns: int) -> bool:
        """Sends what the controller needs now; returns whether anything was sent."""
        ...


class JointTrajectorySink:
    """Rolling trajectories to a joint_trajectory_controller: each plan whole, to its rest, whenever it has changed."""

    def __init__(self, host: NodeHost, embodiment: Embodiment) -> None:
        self._names = embodiment.joint_names
        topic = embodiment.arm.topic or f"/{embodiment.arm.name}/joint_trajectory"
        self._publisher = host.publisher(JointTrajectory, topic, qos.command())

    def send(self, plan: MotionPlan, changed: bool, now_ns: int) -> bool:
        if changed:
            self._publisher.publish(trajectory_message(plan, self._names))
        return changed


class StateSink:
    """Where the plan is one period from now, at every control tick until it is at rest, and once more then.

    Args:
        host: of the node.
        embodiment: has the control rate.
        kind: of the messages.
        topic: that the controller listens to, unless the embodiment names another.
        message: makes one of the state and its time [ns].
    """

    def __init__(
        self, host: NodeHost, embodiment: Embodiment, kind: type, topic: str, message: Callable[[State, int], Any]
    ) -> None:
        self._period_ns = round(1e9 / embodiment.motion.control_rate_hz)
        self._publisher = host.publisher(kind, embodiment.arm.topic or topic, qos.command())
        self._message = message
        self._rested = True

    def send(self, plan: MotionPlan, changed: bool, now_ns: int) -> bool:
        rests = plan.end_ns <= now_ns
        if rests and self._rested:
            return False
        self._rested = rests
        time_ns = now_ns + self._period_ns
        self._publisher.publish(self._message(plan.state_at(time_ns), time_ns))
        return True


class PathSink:
    """The way that a plan leads a base, from where it is to its rest, whenever the plan has changed."""

    def __init__(self, host: NodeHost, embodiment: Embodiment) -> None:
        self._names = embodiment.joint_names
        self._publisher = host.publisher(Path, embodiment.arm.topic or "/plan", qos.command())

    def send(self, plan: MotionPlan, changed: bool, now_ns: int) -> bool:
        if changed:
            self._publisher.publish(path_message(travelled(plan, self._names, now_ns), now_ns))
        return changed


class TellingPose:
    """A sink that also tells where the tool is commanded to be, at every tick: actions that are poses are recorded from there."""

    def __init__(self, host: NodeHost, inner: ArmSink, topic: str, space: TcpPoses, frame: str) -> None:
        self._inner = inner
        self._space = space
        self._frame = frame
        self._publisher = host.publisher(PoseStamped, topic, qos.command())

    def send(self, plan: MotionPlan, changed: bool, now_ns: int) -> bool:
        pose = self._space.pose(plan.state_at(now_ns).position)
        self._publisher.publish(pose_message(*pose, self._frame, now_ns))
        return self._inner.send(plan, changed, now_ns)


def arm_sink(host: NodeHost, embodiment: Embodiment, space: CommandSpace) -> ArmSink:
    """The sink for the controller that the embodiment names, of plans in the axes of ``space``."""
    sink = _controller_sink(host, embodiment, space)
    stream = embodiment.field(embodiment.action.fields[0])[1]
    if isinstance(space, TcpPoses) and embodiment.action.kind == "tcp_pose" and stream.type == _POSE:
        return TellingPose(host, sink, stream.topic, space, _frame(embodiment))
    return sink


def _controller_sink(host: NodeHost, embodiment: Embodiment, space: CommandSpace) -> ArmSink:
    name, kind, names = embodiment.arm.name, embodiment.arm.kind, list(embodiment.joint_names)
    if kind == "forward_command":
        return StateSink(host, embodiment, Float64MultiArray, f"/{name}/commands", lambda at, _: _numbers(at.position))
    if kind == "forward_velocity":
        return StateSink(host, embodiment, Float64MultiArray, f"/{name}/commands", lambda at, _: _numbers(at.velocity))
    if kind == "joint_impedance":
        return StateSink(
            host, embodiment, JointState, f"/{name}/target_joint", lambda at, time_ns: _joint_state(names, at, time_ns)
        )
    if kind == "base_velocity":
        return StateSink(
            host,
            embodiment,
            TwistStamped,
            f"/{name}/cmd_vel",
            lambda at, time_ns: twist_message(names, at.velocity, time_ns),
        )
    if kind == "base_path":
        return PathSink(host, embodiment)
    if kind == "cartesian_pose":
        assert isinstance(space, CartesianPoses), "the space of a Cartesian controller"
        frame = _frame(embodiment)
        return StateSink(
            host,
            embodiment,
            PoseStamped,
            f"/{name}/target_pose",
            lambda at, time_ns: pose_message(*space.pose(at.position), frame, time_ns),
        )
    return JointTrajectorySink(host, embodiment)


def _frame(embodiment: Embodiment) -> str:
    """In which poses are told."""
    return (embodiment.kinematics.base if embodiment.kinematics else "") or "world"


def _numbers(values: Any) -> Float64MultiArray:
    return Float64MultiArray(data=array("d", values))


def _joint_state(names: list[str], state: State, time_ns: int) -> JointState:
    message = JointState(name=names, position=array("d", state.position), velocity=array("d", state.velocity))
    message.header.stamp = to_time(time_ns)
    return message


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
