"""Controllers that behave as those of ros2_controllers do, and the controller manager that runs them. No ROS."""
