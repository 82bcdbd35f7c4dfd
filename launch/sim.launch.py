"""The simulated robot alone: ros2 launch vla sim.launch.py"""

from vla.ros_launch import launch_description


def generate_launch_description():
    return launch_description({"robot": "sim"})
