"""The parts of a replay that speak ROS."""
