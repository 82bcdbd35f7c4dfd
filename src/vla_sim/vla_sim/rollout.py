"""One episode of an expert on a simulated robot in this process: no ROS, as fast as it goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_core.motion.plan import MotionPlan
from vla_sim.controllers.joint_trajectory import JointTrajectoryController
from vla_sim.controllers.messages import JointTrajectory, Point
from vla_sim.errors import SimulationError
from vla_sim.expert import PickPlaceExpert
from vla_sim.robot import SimulatedRobot
from vla_sim.tasks import Task

ACT_CYCLES = 33  # the expert acts about 30 times a second
GRIPPER_EFFORT = 20.0  # [N]


@dataclass(frozen=True, eq=False)
class Rollout:
    """What came of an episode.

    Attributes:
        success: the task's test, at the end.
        done: the expert said that it was done.
        duration_s: simulated time.
        command: (k, n) position that the joints were told in every cycle [rad].
        gripper: finger positions that the gripper was sent to, in order [m].
        standstill_s: longest time in which no joint was told to move faster than 0.01 rad/s.
    """

    success: bool
    done: bool
    duration_s: float
    command: NDArray[np.float64]
    gripper: tuple[float, ...]
    standstill_s: float


def roll_out(
    robot: SimulatedRobot, controller: str, expert: PickPlaceExpert, task: Task, seed: int, time_limit_s: float = 20.0
) -> Rollout:
    """Resets the world and lets the expert act until it is done.

    Args:
        robot: with the controller active.
        controller: name of the trajectory controller.
        expert: acts through that controller and the gripper only.
        task: where things are, and when it is done.
        seed: of the world and of the expert.
        time_limit_s: simulated time after which the episode ends in any case [s].

    Raises:
        SimulationError: the controller refused what the expert sent.
    """
    arm = robot.manager.controller(controller)
    if not isinstance(arm, JointTrajectoryController):
        raise SimulationError(f"expected a joint trajectory controller, found '{controller}' of type {arm.type}")
    robot.reset(task.world(seed))
    start_ns = robot.time_ns
    test = task.success_test()
    expert.reset(start_ns, robot.plant.joint_state().position, seed)
    commands: list[NDArray[np.float64]] = []
    gripper: list[float] = []
    success = done = False
    while not done and robot.time_ns - start_ns < time_limit_s * 1e9:
        fingers, objects = robot.plant.finger_state(), robot.plant.object_poses()
        finger_position = float(fingers.position.mean())
        success = test.update(robot.time_ns, objects, finger_position)
        command = expert.act(robot.time_ns, robot.plant.joint_state().position, finger_position, objects)
        refused = arm.submit(trajectory_from(command.plan, arm.joints), robot.time_ns)
        if refused is not None:
            raise SimulationError(f"{controller}: {refused.message}")
        if not gripper or command.gripper != gripper[-1]:
            robot.gripper.send_goal(command.gripper, GRIPPER_EFFORT)
            gripper.append(command.gripper)
        commands.append(robot.run(ACT_CYCLES).command)
        done = command.done
    told = np.concatenate(commands)
    return Rollout(
        success=success,
        done=done,
        duration_s=(robot.time_ns - start_ns) * 1e-9,
        command=told,
        gripper=tuple(gripper),
        standstill_s=_standstill_s(told, robot.manager.period_ns),
    )


def trajectory_from(plan: MotionPlan, joints: tuple[str, ...]) -> JointTrajectory:
    """The message for a plan: stamped with the time of its first knot."""
    start_ns = int(plan.times_ns[0])
    points = tuple(
        Point(int(time_ns) - start_ns, *state)
        for time_ns, *state in zip(plan.times_ns, plan.positions, plan.velocities, plan.accelerations, strict=True)
    )
    return JointTrajectory(start_ns, joints, points)


def _standstill_s(command: NDArray[np.float64], period_ns: int) -> float:
    moving = np.abs(np.diff(command, axis=0)).max(axis=1) > 0.01 * period_ns * 1e-9
    edges = np.flatnonzero(np.diff(np.r_[True, moving, True].astype(int)))
    return float((np.diff(edges)[::2].max() if len(edges) > 1 else 0) * period_ns * 1e-9)
