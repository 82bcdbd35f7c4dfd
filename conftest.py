"""For every test: a ROS domain of its own, rendering without a display, no judging by time, and what is left out by default."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from vla.environment import child_environment, reserved_domain_id

_domain = contextlib.ExitStack()

settings.register_profile("vla", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
settings.load_profile("vla")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_configure(config: pytest.Config) -> None:
    """Sets the environment before a test module is imported: rclpy and MuJoCo read it then."""
    # what a shell runs in the background ignores SIGINT, and so would all that the tests start and interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)
    domain_id = _domain.enter_context(reserved_domain_id())
    os.environ.update(child_environment(domain_id=domain_id), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")


def pytest_unconfigure(config: pytest.Config) -> None:
    _domain.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    without_ros = importlib.util.find_spec("rclpy") is None
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: --slow"))
        if item.get_closest_marker("ros") and without_ros:
            item.add_marker(pytest.mark.skip(reason="rclpy is not installed"))
