"""How the messages of a process that keeps time travel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vla_ros.transport import avoid_shared_memory

PROGRAM = """
import sys
import rclpy
from rclpy.qos import QoSProfile
from std_msgs.msg import String
from vla_ros import host
from vla_ros.transport import avoid_shared_memory
if sys.argv[1] == "avoid":
    avoid_shared_memory()
host.init()
node = rclpy.create_node("far")
publisher = node.create_publisher(String, "said", QoSProfile(depth=1))
print(any("/dev/shm/fastrtps_" in line for line in open("/proc/self/maps")), flush=True)
timer = node.create_timer(0.02, lambda: publisher.publish(String(data="here")))
try:
    rclpy.spin(node)
except KeyboardInterrupt:
    pass
"""

on_fast_dds = pytest.mark.skipif(
    os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") != "rmw_fastrtps_cpp", reason="it is about Fast DDS"
)


@on_fast_dds
@pytest.mark.parametrize(("argument", "maps_it"), [("avoid", "False"), ("not", "True")])
def test_it_maps_no_shared_memory_and_is_heard_by_those_that_do(argument: str, maps_it: str) -> None:
    import rclpy
    from std_msgs.msg import String

    rclpy.init()
    node = rclpy.create_node("near")
    heard: list[str] = []
    node.create_subscription(String, "said", lambda message: heard.append(message.data), 1)
    far = subprocess.Popen([sys.executable, "-c", PROGRAM, argument], stdout=subprocess.PIPE, text=True)
    try:
        assert far.stdout is not None
        assert far.stdout.readline().strip() == maps_it
        for _ in range(200):
            rclpy.spin_once(node, timeout_sec=0.1)
            if heard:
                break
        assert heard
    finally:
        far.terminate()
        far.communicate(timeout=30)
        node.destroy_node()
        rclpy.shutdown()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}),
        (
            {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"},
            {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"},
        ),
        (
            {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
            {
                "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
                "FASTRTPS_DEFAULT_PROFILES_FILE": "localhost_by_udp.xml",
            },
        ),
        (
            {"FASTRTPS_DEFAULT_PROFILES_FILE": "/somewhere/config/dds/large_images.xml"},
            {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"},
        ),
        (
            {"ROS_LOCALHOST_ONLY": "1"},
            {
                "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
                "FASTRTPS_DEFAULT_PROFILES_FILE": "localhost_by_udp.xml",
            },
        ),
    ],
)
def test_the_range_of_discovery_stays(before: dict[str, str], after: dict[str, str]) -> None:
    environment = dict(before)
    avoid_shared_memory(environment)
    if file := environment.get("FASTRTPS_DEFAULT_PROFILES_FILE"):
        assert Path(file).is_file()
        environment["FASTRTPS_DEFAULT_PROFILES_FILE"] = Path(file).name
    assert environment == after


@pytest.mark.parametrize(
    "environment",
    [
        {"FASTDDS_BUILTIN_TRANSPORTS": "SHM"},
        {"FASTRTPS_DEFAULT_PROFILES_FILE": "mine.xml"},
        {"FASTDDS_DEFAULT_PROFILES_FILE": "mine.xml", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
        {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_STATIC_PEERS": "10.0.0.2"},
        {
            "ROS_LOCALHOST_ONLY": "1",
            "ROS_STATIC_PEERS": "10.0.0.2",
            "FASTRTPS_DEFAULT_PROFILES_FILE": "large_images.xml",
        },
    ],
)
def test_what_the_user_has_set_rules(environment: dict[str, str]) -> None:
    before = dict(environment)
    avoid_shared_memory(environment)
    assert environment == before
