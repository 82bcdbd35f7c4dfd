"""What the workspace's tests share: ROS on loopback in a domain of their own, and nodes inside of the test's process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from vla.environment import child_environment, reserved_domain_id

pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")


@pytest.fixture(scope="session", autouse=True)
def domain_id() -> Iterator[int]:
    """A ROS domain that nobody else on this machine uses, for all tests of this folder."""
    with reserved_domain_id() as reserved:
        os.environ.update(child_environment(domain_id=reserved))
        yield reserved
