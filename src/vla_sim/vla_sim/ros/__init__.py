"""The simulated robot's topics, services and actions: those of franka_ros2 and ros2_control."""
