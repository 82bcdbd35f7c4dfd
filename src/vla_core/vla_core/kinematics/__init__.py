"""Where the tool is and how links lie to each other: the robot's model in MuJoCo, and inverse kinematics with mink.

MuJoCo and mink are imported here and nowhere else in the core, inside of what needs them: a robot whose actions are joint
positions, and that is kept to no region, runs without them.
"""

from vla_core.kinematics.files import model_file
from vla_core.kinematics.inverse import DifferentialIK, Reached
from vla_core.kinematics.model import KinematicModel
from vla_core.kinematics.regions import region_of

__all__ = ["DifferentialIK", "KinematicModel", "Reached", "model_file", "region_of"]
