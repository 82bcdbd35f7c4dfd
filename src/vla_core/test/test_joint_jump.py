"""Joint states that no robot of this kind can have had one after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vla_core.embodiment import load_embodiment
from vla_core.execution.faults import FaultName
from vla_core.execution.joint_jump import JointJump

FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")
VELOCITY = np.array([joint.velocity for joint in FR3.joints])
MS = 1_000_000
HOME = np.array([0.0, -0.8, 0.0, -2.4, 0.0, 1.6, 0.8])


@pytest.mark.parametrize("period_ms", [1, 10, 33])
def test_a_robot_at_its_velocity_limits_with_noisy_encoders_and_stamps_does_not_jump(period_ms: int) -> None:
    watch, random = JointJump(FR3), np.random.default_rng(0)
    for k in range(500):
        true = HOME + VELOCITY * 0.1 * np.sin(k * period_ms * 1e-2)  # its velocity is the limit at most
        stamp_ns = round(k * period_ms * MS + random.uniform(0, 0.3) * period_ms * MS)
        assert watch.note(true + random.uniform(-3e-3, 3e-3, 7), stamp_ns) is None


def test_an_encoder_that_slips_is_named() -> None:
    watch = JointJump(FR3)
    assert watch.note(HOME, 0) is None
    slipped = HOME + np.array([0.0, 0.0, -0.05, 0.0, 0.0, 0.0, 0.0])
    found = watch.note(slipped, 1 * MS)
    assert found is not None
    assert found.name is FaultName.JOINT_JUMP
    assert found.message == "fr3_joint3 went by -0.050 within 1.0 ms, expected at most 0.024"
    assert watch.note(slipped, 2 * MS) is None


def test_after_a_silence_of_a_second_or_a_clock_that_was_set_a_joint_may_be_anywhere() -> None:
    watch = JointJump(FR3)
    watch.note(HOME, 5000 * MS)
    assert watch.note(HOME + 1.0, 6000 * MS) is None
    assert watch.note(HOME, 3000 * MS) is None
