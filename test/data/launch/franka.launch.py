"""Stands in for the launch file of franka_bringup: takes the arguments that it takes, and writes down what it was given."""

import json
import os
from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

ARGUMENTS = {
    "robot_type": "",
    "arm_prefix": "",
    "namespace": "",
    "robot_ip": "172.16.0.3",
    "load_gripper": "false",
    "use_fake_hardware": "false",
    "fake_sensor_commands": "false",
    "joint_state_rate": "30",
    "load_franka_robot_state_broadcaster": "true",
    "controllers_yaml": "controllers.yaml of franka_bringup",
}


def write_down(context):
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    record = Path(os.environ["RECORDS"], "franka.launch.json")
    record.with_suffix(".part").write_text(json.dumps(given))
    record.with_suffix(".part").rename(record)


def generate_launch_description():
    declared = [DeclareLaunchArgument(name, default_value=value) for name, value in ARGUMENTS.items()]
    return LaunchDescription([*declared, OpaqueFunction(function=write_down)])
