"""A robot and a recorder: ros2 launch vla record.launch.py robot:=real episodes:=demonstrations"""

from vla.ros_launch import launch_description


def generate_launch_description():
    return launch_description({"record": "true"})
