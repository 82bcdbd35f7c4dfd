"""Measuring commands: every kind of violation is counted, and pieces add up to the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vla_core.embodiment import JointLimits, load_embodiment
from vla_core.motion.measure import CommandMeter, CommandQuality

LIMITS = JointLimits.of(load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml"))
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
TIMES = np.arange(2000) * 1e-3


def measured(positions: np.ndarray, *cuts: int) -> CommandQuality:
    meter = CommandMeter(LIMITS, 1e-3)
    for piece in np.split(positions, cuts):
        meter.add(piece)
    return meter.quality


def sine(amplitude: float, hz: float, joint: int = 0) -> np.ndarray:
    positions = np.tile(HOME, (len(TIMES), 1))
    positions[:, joint] += amplitude * np.sin(2 * np.pi * hz * TIMES)
    return positions


def test_a_smooth_motion_has_no_violations_and_the_right_use() -> None:
    found = measured(sine(0.2, 0.5))
    assert found.violations == 0
    assert found.acceleration_use == pytest.approx(0.2 * np.pi**2 / 10, rel=1e-3)
    assert found.rms_jerk == pytest.approx(0.2 * np.pi**3 / np.sqrt(2) / np.sqrt(7), rel=0.02)


@pytest.mark.parametrize(
    ("positions", "kinds"),
    [
        (sine(0.6, 1.0), {"velocity", "acceleration"}),
        (sine(0.02, 5.0), {"acceleration"}),
        (sine(0.0001, 30.0), set()),
        (sine(0.0005, 40.0), {"acceleration", "jerk"}),
        (HOME + 3.0 * np.eye(7)[0] + np.zeros((100, 7)), {"position"}),
    ],
)
def test_each_kind_of_violation_is_counted(positions: np.ndarray, kinds: set[str]) -> None:
    found = measured(positions)
    assert {kind for kind in ("position", "velocity", "acceleration", "jerk") if getattr(found, kind)} == kinds


def test_the_velocity_limit_narrows_towards_the_end_of_a_joint() -> None:
    positions = np.tile(HOME, (100, 1))
    positions[:, 0] = 2.65 + 0.9e-3 * np.arange(100)  # 0.9 rad/s, allowed 0.80 at 2.65 and less beyond
    assert measured(positions).velocity > 90


def test_pieces_add_up_to_the_whole() -> None:
    positions = sine(0.6, 1.0)
    whole = measured(positions)
    for cuts in ((10,), (1, 2, 3, 1000), (1999,)):
        parts = measured(positions, *cuts)
        assert parts == CommandQuality(**{**vars(whole), "rms_jerk": pytest.approx(whole.rms_jerk)})
