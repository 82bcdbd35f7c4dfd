"""A base that drives: velocities, or waypoints in the plane."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.interpolate import CubicSpline

from vla_core.action_chunk import ActionChunk
from vla_core.action_spaces.space import Commanded, Resolved, in_axes
from vla_core.embodiment import Embodiment, JointLimits
from vla_core.errors import EmbodimentMismatch
from vla_core.motion.polynomial import Array

TWIST = ("linear_x", "linear_y", "linear_z", "angular_x", "angular_y", "angular_z")
_UNICYCLE = ("linear_x", "angular_z")
_SLOWEST = 0.02  # [m/s] slower than this a direction of travel tells nothing about where the base looks


class BaseVelocities:
    """Action k is the velocity of the base at its time. The axes are the parts of a twist, whose positions are ways travelled.

    Raises:
        EmbodimentMismatch: the joints are not parts of a twist, or the actions are not theirs.
    """

    commands: Literal["velocity"] = "velocity"

    def __init__(self, embodiment: Embodiment) -> None:
        self.names = embodiment.joint_names
        self.limits = JointLimits.of(embodiment)
        unknown = [name for name in self.names if name not in TWIST]
        if unknown:
            raise EmbodimentMismatch(
                f"'{embodiment.name}': joints of a base: expected some of {TWIST}, found {unknown}"
            )
        if embodiment.action.kind == "base_velocity" and embodiment.action_names != self.names:
            raise EmbodimentMismatch(
                f"'{embodiment.name}': action.fields: expected the elements {list(self.names)} (the joints in order), found "
                f"{list(embodiment.action_names)}"
            )

    def begin(self, position: Array) -> Array:
        """The way travelled begins at 0."""
        return np.zeros(len(self.names))

    def resolve(self, chunk: ActionChunk, commanded: Commanded) -> Resolved:
        """The chunk itself."""
        return Resolved(chunk)


class BaseWaypoints(BaseVelocities):
    """Action k is a place in the plane, x forwards and y to the left, that the base is meant to be at after step k [m].

    Since the ``observation``, as it stood then; or since the ``previous`` place, along the same axes. A curve through the places,
    which begins along x, has the velocity and the curvature that a base must drive with to follow it.

    Raises:
        EmbodimentMismatch: the base is not driven by ``linear_x`` and ``angular_z``, or an action has not two dimensions.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        super().__init__(embodiment)
        if self.names != _UNICYCLE:
            raise EmbodimentMismatch(
                f"'{embodiment.name}': joints: expected {list(_UNICYCLE)} for base_waypoints, found {list(self.names)}"
            )
        if embodiment.action_units != ("m", "m"):
            raise EmbodimentMismatch(
                f"'{embodiment.name}': action.fields: expected two dimensions [m] for base_waypoints, found "
                f"{list(embodiment.action_names)} {list(embodiment.action_units)}"
            )
        self._chained = embodiment.action.since == "previous"

    def resolve(self, chunk: ActionChunk, commanded: Commanded) -> Resolved:
        """Velocities along the curve."""
        places = np.cumsum(chunk.actions, axis=0) if self._chained else chunk.actions
        places = np.concatenate([np.zeros((1, 2)), places])
        seconds = np.arange(len(places)) * (chunk.step_ns * 1e-9)
        curve = CubicSpline(
            seconds, places, bc_type=((1, np.array([places[1, 0] / seconds[1], 0.0])), (2, np.zeros(2)))
        )
        moving, turning = curve(seconds, 1), curve(seconds, 2)
        forwards = np.sign(moving[:, 0] * np.cos(_headings(moving)) + moving[:, 1] * np.sin(_headings(moving)))
        speed = np.linalg.norm(moving, axis=1)
        across = moving[:, 0] * turning[:, 1] - moving[:, 1] * turning[:, 0]
        angular = np.where(speed > _SLOWEST, across / np.maximum(speed, _SLOWEST) ** 2, 0.0)
        axes = np.stack([forwards * speed, angular], axis=1)
        return Resolved(in_axes(chunk, self.names, axes, np.zeros((len(chunk.actions), 0))))


def _headings(moving: Array) -> Array:
    """Where a base looks that drives with velocities (k, 2) [rad], beginning along x; backwards where that is nearer."""
    headings, heading = [], 0.0
    for x, y in moving:
        if np.hypot(x, y) > _SLOWEST:
            away = (np.arctan2(y, x) - heading + np.pi / 2.0) % np.pi - np.pi / 2.0
            heading += away
        headings.append(heading)
    return np.array(headings)
