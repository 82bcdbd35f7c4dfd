"""The robot of the recorder's benchmark: cameras and joints, all of them numbered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

JOINTS = tuple(f"joint{number}" for number in range(1, 8))


@dataclass(frozen=True)
class Robot:
    """What is published and recorded: ``cameras`` of ``width`` x ``height`` at ``rate_hz``, joints at ``joint_rate_hz``."""

    cameras: int = 3
    width: int = 640
    height: int = 480
    rate_hz: float = 30.0
    joint_rate_hz: float = 500.0

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(f"camera{number}" for number in range(self.cameras))

    def topic(self, name: str) -> str:
        return f"/bench/{name}"


def write_embodiment(robot: Robot, path: Path, images: str, native: bool) -> Path:
    """Writes the embodiment file.

    Args:
        robot: to describe.
        path: of the file.
        images: how they are kept: ``raw`` or ``jpeg``.
        native: whether all joint messages are kept beside the steps.
    """
    path.write_text(yaml.safe_dump(_embodiment(robot, images, native), sort_keys=False))
    return path


def _embodiment(robot: Robot, images: str, native: bool) -> dict[str, Any]:
    half_ms = 500.0 / robot.rate_hz
    cameras = {
        role: {
            "topic": robot.topic(role),
            "width": robot.width,
            "height": robot.height,
            "rate_hz": robot.rate_hz,
            "align": {"method": "nearest", "tolerance_ms": half_ms, "wait_ms": 500},
            "images": images,
        }
        for role in robot.roles
    }
    limits = {"position": {"min": -1e6, "max": 1e6}, "velocity": 10.0, "acceleration": 10.0, "jerk": 100.0}
    joints = {
        "topic": robot.topic("joints"),
        "type": "sensor_msgs/msg/JointState",
        "rate_hz": robot.joint_rate_hz,
        "align": {"method": "interpolate", "tolerance_ms": 100, "wait_ms": 500},
        "elements": {"path": "name", "names": list(JOINTS)},
        "fields": {"position": {"path": "position", "unit": "rad"}, "velocity": {"path": "velocity", "unit": "rad/s"}},
        "native": native,
    }
    return {
        "schema": "vla/embodiment/1",
        "name": "bench",
        "joints": [{"name": name, **limits} for name in JOINTS],
        "cameras": cameras,
        "streams": {"joints": joints},
        "proprioception": {"qpos": ["joints.position"], "qvel": ["joints.velocity"]},
        "action": {"kind": "joint_position", "fields": ["joints.position"]},
        "arm": {"name": "arm", "controllers": "none"},
        "steps": {"clock": robot.roles[0], "rate_hz": robot.rate_hz},
    }
