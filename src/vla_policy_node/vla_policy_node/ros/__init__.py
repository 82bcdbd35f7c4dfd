"""The parts of the nodes that speak ROS."""
