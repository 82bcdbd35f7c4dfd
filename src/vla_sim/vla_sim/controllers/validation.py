"""Whether joint_trajectory_controller takes a trajectory, and why not.

The checks and their order are those of ``JointTrajectoryController::validate_trajectory_msg`` (ros2_controllers 4.42). As
there, neither values that are not finite nor any limit of the joints is looked at.
"""

from __future__ import annotations

import numpy as np

from vla_sim.controllers.messages import JointTrajectory, Point, Rejection
from vla_sim.controllers.parameters import JointTrajectoryParameters

_ZERO_VELOCITY = float(np.finfo(np.float32).eps)


def rejection(trajectory: JointTrajectory, parameters: JointTrajectoryParameters, now_ns: int) -> Rejection | None:
    """Returns None if the trajectory is taken, else the reason."""
    return (
        _names(trajectory, parameters)
        or _end(trajectory, parameters, now_ns)
        or next(filter(None, (_point(trajectory, index) for index in range(len(trajectory.points)))), None)
    )


def _names(trajectory: JointTrajectory, parameters: JointTrajectoryParameters) -> Rejection | None:
    names, joints = trajectory.joint_names, parameters.joints
    if not parameters.allow_partial_joints_goal and len(names) != len(joints):
        return Rejection("joint_count", f"expected {len(joints)} joint names, found {len(names)}")
    if not names:
        return Rejection("no_names", "expected joint names, found none")
    if not trajectory.points:
        return Rejection("no_points", "expected at least one point, found none")
    for name in names:
        if name not in joints:
            return Rejection("unknown_joint", f"expected joints out of {list(joints)}, found '{name}'")
    return None


def _end(trajectory: JointTrajectory, parameters: JointTrajectoryParameters, now_ns: int) -> Rejection | None:
    last = trajectory.points[-1]
    if not parameters.allow_nonzero_velocity_at_trajectory_end:
        for name, velocity in zip(trajectory.joint_names, last.velocities, strict=False):
            if abs(velocity) > _ZERO_VELOCITY:
                return Rejection(
                    "last_velocity", f"expected velocity 0 at the last point, found {velocity} for '{name}'"
                )
    end_ns = trajectory.stamp_ns + last.time_from_start_ns
    if trajectory.stamp_ns != 0 and end_ns < now_ns:
        return Rejection(
            "ends_in_past", f"expected an end in the future, found one {(now_ns - end_ns) * 1e-9:.3f} s ago"
        )
    return None


def _point(trajectory: JointTrajectory, index: int) -> Rejection | None:
    point = trajectory.points[index]
    if index and point.time_from_start_ns <= trajectory.points[index - 1].time_from_start_ns:
        times = trajectory.points[index - 1].time_from_start_ns * 1e-9, point.time_from_start_ns * 1e-9
        return Rejection(
            "times_not_increasing", f"points {index - 1} and {index}: expected growing times, found {times} s"
        )
    wrong = _wrong_field(point, len(trajectory.joint_names))
    if wrong is not None:
        return Rejection("size_mismatch", f"point {index}: {wrong}")
    if len(point.effort):
        return Rejection("effort", f"point {index}: expected no effort (the controller commands positions), found some")
    return None


def _wrong_field(point: Point, count: int) -> str | None:
    if len(point.positions) != count:
        return f"expected {count} positions, found {len(point.positions)}"
    for name, values in (("velocities", point.velocities), ("accelerations", point.accelerations)):
        if len(values) not in (0, count):
            return f"expected 0 or {count} {name}, found {len(values)}"
    return None
