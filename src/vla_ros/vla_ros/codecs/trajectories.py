"""Plans to joint trajectory messages."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vla_core.motion.plan import MotionPlan
from vla_ros.time import to_duration, to_time


def trajectory_message(plan: MotionPlan, joint_names: Sequence[str]) -> JointTrajectory:
    """The plan with its absolute time: stamp of the first knot, positions, velocities and accelerations at each knot.

    The first knot lies in the past or is now, so that the controller joins in mid-segment, where the plan that it has and
    this one are the same.
    """
    start_ns = int(plan.times_ns[0])
    points = [
        JointTrajectoryPoint(
            positions=array("d", plan.positions[index]),
            velocities=array("d", plan.velocities[index]),
            accelerations=array("d", plan.accelerations[index]),
            time_from_start=to_duration(int(time_ns) - start_ns),
        )
        for index, time_ns in enumerate(plan.times_ns)
    ]
    message = JointTrajectory(joint_names=list(joint_names), points=points)
    message.header.stamp = to_time(start_ns)
    return message
