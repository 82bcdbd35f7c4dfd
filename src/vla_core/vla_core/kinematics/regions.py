"""Where an arm may be, from the embodiment file and the robot's model."""

from __future__ import annotations

import numpy as np

from vla_core.embodiment import Embodiment
from vla_core.kinematics.model import KinematicModel
from vla_core.kinematics.self_distance import self_distance
from vla_core.motion.region import AllOf, Region, SelfDistance, TcpBox


def region_of(embodiment: Embodiment, model: KinematicModel | None = None) -> Region | None:
    """The region that the embodiment asks for; None: the arm may be anywhere inside its joints' limits.

    Args:
        embodiment: with or without ``kinematics``.
        model: its model, if it is at hand.

    Raises:
        EmbodimentMismatch, ConfigError: the model does not fit, or cannot be read.
    """
    settings = embodiment.kinematics
    # a Cartesian controller's axes are bounded by the workspace already, and it knows no joints
    of_joints = embodiment.arm.kind != "cartesian_pose"
    if settings is None or not of_joints or (settings.workspace is None and not settings.self_distance):
        return None
    model = model or KinematicModel(embodiment)
    regions: list[Region] = []
    if settings.workspace is not None:
        low, high = np.array(settings.workspace.low), np.array(settings.workspace.high)
        regions.append(TcpBox(low, high, model.tcp_points))
    if settings.self_distance:
        regions.append(SelfDistance(settings.self_distance, self_distance(model, settings.self_distance)))
    return regions[0] if len(regions) == 1 else AllOf(regions)
