"""The controllers' command topics, the trajectory action, the gripper's action, and controller_manager's services."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from action_msgs.msg import GoalStatus
from numpy.typing import NDArray
from rclpy.action import GoalResponse
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMessage

from control_msgs.action import FollowJointTrajectory, GripperCommand
from controller_manager_msgs.msg import ControllerState
from controller_manager_msgs.srv import ConfigureController, ListControllers, LoadController, SwitchController
from vla_core.embodiment.schema import Gripper as GripperDeclaration
from vla_core.errors import ConfigError
from vla_ros import qos
from vla_ros.host import NodeHost
from vla_ros.time import to_ns
from vla_sim.controllers.forward_command import ForwardCommandController
from vla_sim.controllers.gripper import GripperGoal
from vla_sim.controllers.joint_trajectory import JointTrajectoryController
from vla_sim.controllers.messages import (
    FollowJointTrajectoryGoal,
    JointTolerance,
    JointTrajectory,
    Point,
    Rejection,
    TrajectoryGoal,
)
from vla_sim.controllers.plugins import Controller
from vla_sim.robot import SimulatedRobot
from vla_sim.ros.command_queue import CommandQueue

_POLL_S = 0.01
_COMMANDS = qos.stream(10)


class ControllerTopics:
    """Hands messages to the controllers: ``<controller>/joint_trajectory`` and ``<controller>/commands``.

    Args:
        host: of the simulator's node.
        robot: has the controllers.
        commands: where the messages wait until it is their time.
    """

    def __init__(self, host: NodeHost, robot: SimulatedRobot, commands: CommandQueue) -> None:
        self._host = host
        self._robot = robot
        self._commands = commands
        for name, kind in robot.manager.file.types.items():
            if kind == JointTrajectoryController.type:
                host.subscribe(
                    JointTrajectoryMessage, f"/{name}/joint_trajectory", self._trajectory_handler(name), _COMMANDS
                )
            elif kind == ForwardCommandController.type:
                host.subscribe(Float64MultiArray, f"/{name}/commands", self._command_handler(name), _COMMANDS)

    def _trajectory_handler(self, name: str) -> Any:
        def apply(trajectory: JointTrajectory) -> None:
            controller = self._configured(name)
            if 0 < trajectory.stamp_ns <= self._robot.reset_ns:
                return  # it was on its way when the world was reset, and continues a motion that never was
            if isinstance(controller, JointTrajectoryController):
                refused = controller.submit(trajectory, self._robot.time_ns)
                if refused is not None:
                    self._host.node.get_logger().error(f"{name}: {refused.message}", throttle_duration_sec=1.0)

        def handle(message: JointTrajectoryMessage, receive_ns: int) -> None:
            trajectory = trajectory_from(message)
            self._commands.put(receive_ns, lambda: apply(trajectory))

        return handle

    def _command_handler(self, name: str) -> Any:
        def apply(command: NDArray[np.float64]) -> None:
            controller = self._configured(name)
            if isinstance(controller, ForwardCommandController):
                controller.submit(command)

        def handle(message: Float64MultiArray, receive_ns: int) -> None:
            command = np.array(message.data, dtype=np.float64)
            self._commands.put(receive_ns, lambda: apply(command))

        return handle

    def _configured(self, name: str) -> Controller | None:
        try:
            return self._robot.manager.controller(name)
        except ConfigError:
            return None  # as on a robot: nobody listens before the controller is configured


class TrajectoryAction:
    """``<controller>/follow_joint_trajectory`` of one controller."""

    def __init__(self, host: NodeHost, robot: SimulatedRobot, controller: str) -> None:
        self._host = host
        self._robot = robot
        self._name = controller
        self._accepted: list[TrajectoryGoal] = []
        self._server = host.action_server(
            FollowJointTrajectory, f"/{controller}/follow_joint_trajectory", self._execute, self._accept
        )

    def _accept(self, request: FollowJointTrajectory.Goal) -> GoalResponse:
        goal = self._host.in_loop(lambda: self._send(request))
        if isinstance(goal, Rejection):
            self._host.node.get_logger().error(f"{self._name}: {goal.message}")
            return GoalResponse.REJECT
        self._accepted.append(goal)
        return GoalResponse.ACCEPT

    def _send(self, request: FollowJointTrajectory.Goal) -> TrajectoryGoal | Rejection:
        try:
            controller = self._robot.manager.controller(self._name)
        except ConfigError as error:
            return Rejection("not_configured", str(error))
        if not isinstance(controller, JointTrajectoryController):
            return Rejection("other_type", f"expected a joint trajectory controller, found {controller.type}")
        goal = FollowJointTrajectoryGoal(
            trajectory_from(request.trajectory),
            _tolerances(request.path_tolerance),
            _tolerances(request.goal_tolerance),
            to_ns(request.goal_time_tolerance),
        )
        return controller.send_goal(goal, self._robot.time_ns)

    def _execute(self, handle: Any) -> FollowJointTrajectory.Result:
        goal = self._accepted.pop(0)
        while goal.status.value == GoalStatus.STATUS_EXECUTING and not self._host.stopped:
            if handle.is_cancel_requested:
                self._host.in_loop(lambda: self._cancel(goal))
            time.sleep(_POLL_S)
        _finish(handle, goal.status.value)
        return FollowJointTrajectory.Result(error_code=int(goal.error_code), error_string=goal.error_string)

    def _cancel(self, goal: TrajectoryGoal) -> None:
        controller = self._robot.manager.controller(self._name)
        if isinstance(controller, JointTrajectoryController):
            controller.cancel_goal(goal)


class GripperAction:
    """franka_gripper's ``gripper_action``."""

    def __init__(self, host: NodeHost, robot: SimulatedRobot, gripper: GripperDeclaration) -> None:
        self._host = host
        self._robot = robot
        self._accepted: list[GripperGoal] = []
        self._server = host.action_server(GripperCommand, gripper.goal_topic, self._execute, self._accept)

    def _accept(self, request: GripperCommand.Goal) -> GoalResponse:
        """Begins the motion before the goal is answered, so that an answered goal is one that has effect."""
        command = request.command
        goal = self._host.in_loop(lambda: self._robot.gripper.send_goal(command.position, command.max_effort))
        self._accepted.append(goal)
        return GoalResponse.ACCEPT

    def _execute(self, handle: Any) -> GripperCommand.Result:
        goal = self._accepted.pop(0)
        while goal.status.value == GoalStatus.STATUS_EXECUTING and not self._host.stopped:
            if handle.is_cancel_requested:
                self._host.in_loop(lambda: self._robot.gripper.cancel_goal(goal))
            handle.publish_feedback(GripperCommand.Feedback(position=self._robot.gripper.width))
            time.sleep(_POLL_S)
        _finish(handle, goal.status.value)
        return GripperCommand.Result(position=goal.width or 0.0, stalled=goal.stalled, reached_goal=goal.reached_goal)


class ManagerServices:
    """``/controller_manager``: list, load, configure and switch."""

    def __init__(self, host: NodeHost, robot: SimulatedRobot) -> None:
        self._robot = robot
        manager = robot.manager
        host.service(ListControllers, "/controller_manager/list_controllers", self._list)
        host.service(SwitchController, "/controller_manager/switch_controller", self._switch)
        for kind, name, act in (
            (LoadController, "load_controller", manager.load),
            (ConfigureController, "configure_controller", manager.configure),
        ):
            host.service(kind, f"/controller_manager/{name}", _named(act))

    def _list(self, request: ListControllers.Request, response: ListControllers.Response) -> ListControllers.Response:
        manager = self._robot.manager
        for info in manager.list_controllers():
            response.controller.append(
                ControllerState(
                    name=info.name,
                    state=info.state,
                    type=info.type,
                    update_rate=manager.file.update_rate_hz,
                    claimed_interfaces=list(info.claimed_interfaces),
                    required_command_interfaces=list(info.required_command_interfaces),
                    required_state_interfaces=list(info.required_state_interfaces),
                )
            )
        return response

    def _switch(
        self, request: SwitchController.Request, response: SwitchController.Response
    ) -> SwitchController.Response:
        reply = self._robot.manager.switch(
            request.activate_controllers, request.deactivate_controllers, request.strictness, self._robot.time_ns
        )
        response.ok, response.message = reply.ok, reply.message
        return response


def trajectory_from(message: JointTrajectoryMessage) -> JointTrajectory:
    """The controller's own value of a trajectory message."""
    points = tuple(
        Point(
            to_ns(point.time_from_start),
            np.array(point.positions, dtype=np.float64),
            np.array(point.velocities, dtype=np.float64),
            np.array(point.accelerations, dtype=np.float64),
            np.array(point.effort, dtype=np.float64),
        )
        for point in message.points
    )
    return JointTrajectory(to_ns(message.header.stamp), tuple(message.joint_names), points)


def _tolerances(listed: Iterable[Any]) -> tuple[JointTolerance, ...]:
    return tuple(JointTolerance(one.name, one.position) for one in listed)


def _named(act: Any) -> Any:
    def handle(request: Any, response: Any) -> Any:
        response.ok = act(request.name).ok
        return response

    return handle


def _finish(handle: Any, status: int) -> None:
    if status == GoalStatus.STATUS_SUCCEEDED:
        handle.succeed()
    elif status == GoalStatus.STATUS_CANCELED:
        handle.canceled()
    else:
        handle.abort()
