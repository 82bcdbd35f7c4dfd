"""Trajectories that the controller gives itself: to hold a position, or to slow down to standstill."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vla_sim.controllers.messages import EMPTY, JointTrajectory, Point
from vla_sim.controllers.trajectory import Waypoint

Array = NDArray[np.float64]


def hold(joints: tuple[str, ...], position: Array) -> JointTrajectory:
    """At once to ``position`` (n,), and stay there."""
    return JointTrajectory(0, joints, (Point(0, position.copy()),))


def keep_last_point(joints: tuple[str, ...], last: Waypoint) -> JointTrajectory:
    """At once to the last point of what was executed, with whatever velocity and acceleration it has."""
    velocities = EMPTY if last.velocity is None else last.velocity
    accelerations = EMPTY if last.acceleration is None else last.acceleration
    return JointTrajectory(0, joints, (Point(0, last.position, velocities, accelerations),))


def decelerate(
    joints: tuple[str, ...], position: Array, velocity: Array, deceleration: Array, period_ns: int
) -> JointTrajectory:
    """Each joint slows down at its own constant ``deceleration`` (n,) [rad/s^2 or m/s^2] from where it is and moves.

    One point for every update period, the last one at standstill: as ``decelerate_to_hold_position`` of the real controller.
    """
    direction = np.sign(velocity)
    stop_s = np.abs(velocity) / deceleration
    period_s = period_ns * 1e-9
    points = []
    for index in range(math.ceil(float(stop_s.max()) / period_s) + 1):
        elapsed_s = np.minimum(index * period_s, stop_s)
        moving = index * period_s < stop_s
        braking = direction * deceleration
        points.append(
            Point(
                index * period_ns,
                position + velocity * elapsed_s - 0.5 * braking * elapsed_s**2,
                np.where(moving, velocity - braking * elapsed_s, 0.0),
                np.where(moving, -braking, 0.0),
            )
        )
    return JointTrajectory(0, joints, tuple(points))
