"""A simulated robot: physics, ros2_control's controllers, tasks and scripted experts. No ROS here; the nodes add it."""
