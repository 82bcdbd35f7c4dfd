"""The edge of command_node to ROS."""
