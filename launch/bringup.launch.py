"""The robot and what runs on it: ros2 launch vla bringup.launch.py robot:=sim policy:=... record:=true"""

from vla.ros_launch import launch_description


def generate_launch_description():
    return launch_description()
