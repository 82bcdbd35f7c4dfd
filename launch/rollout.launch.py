"""A robot and a policy: ros2 launch vla rollout.launch.py policy:=checkpoints/pick_place"""

from vla.ros_launch import launch_description


def generate_launch_description():
    return launch_description(required=["policy"])
