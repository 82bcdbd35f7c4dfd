"""The parts of the recorder that speak ROS."""
