"""A robot and a node that plays recorded episodes: ros2 launch vla replay.launch.py robot:=sim"""

from vla.ros_launch import launch_description


def generate_launch_description():
    return launch_description({"replay": "true"})
