"""The core of vla: values, alignment, chunk scheduling, smoothing, limits and the episode format. No ROS, no torch."""

__version__ = "0.1.0"
