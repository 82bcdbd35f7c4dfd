"""Robot models: an MJCF, and which of its names mean what."""

from vla_sim.models.robot_model import RobotModel, load_robot_model, shipped_model

__all__ = ["RobotModel", "load_robot_model", "shipped_model"]
