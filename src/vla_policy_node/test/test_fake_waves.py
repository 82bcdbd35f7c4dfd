"""The fake policy asks for the same movement in every action space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vla_core.action_chunk import ActionChunk
from vla_core.action_spaces import command_space
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.observation import Observation
from vla_policy_node.fake import FakePolicy

EMBODIMENTS = Path(__file__).parents[3] / "config" / "embodiments"
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
SECOND = 1_000_000_000


def chunks(robot: Embodiment, qpos: np.ndarray) -> list[ActionChunk]:
    """What is asked for at the beginning and half a second later."""
    policy = FakePolicy(robot, amplitude=0.2)
    return [
        policy.infer(Observation(stamp_ns, {}, {"qpos": qpos}, "", {}))
        for stamp_ns in (SECOND, SECOND + 15 * robot.step_ns)
    ]


@pytest.mark.parametrize("name", ["fr3_sim_tcp", "fr3_sim_tcp_delta"])
def test_a_tool_goes_to_its_side_by_half_as_many_metres(name: str) -> None:
    pytest.importorskip("mink", reason="needs MuJoCo and mink: vla_core[kinematics]")
    from vla_core.kinematics import KinematicModel

    robot = load_embodiment(EMBODIMENTS / f"{name}.yaml")
    model = KinematicModel(robot)
    first = chunks(robot, np.append(HOME, 0.04))[0]
    assert first.names == robot.action_names
    resolved = command_space(robot).resolve(first, lambda _: HOME)
    assert not resolved.shortened
    found = np.array([model.tcp_pose(action[:7])[0] for action in resolved.chunk.actions])
    seconds = (resolved.chunk.times_ns() - SECOND) * 1e-9
    asked = model.tcp_pose(HOME)[0] + np.outer(0.1 * np.sin(2 * np.pi * 0.25 * seconds), [0.0, 1.0, 0.0])
    np.testing.assert_allclose(found, asked, atol=5e-4)


def test_a_base_drives_to_and_fro() -> None:
    velocities = chunks(load_embodiment(EMBODIMENTS / "mobile_base.yaml"), np.zeros(7))
    np.testing.assert_allclose(velocities[0].actions[0], [0.1 * 2 * np.pi * 0.25, 0.0])
    first, second = chunks(load_embodiment(EMBODIMENTS / "mobile_base_waypoints.yaml"), np.zeros(7))
    assert first.actions[0, 0] > 0.0
    np.testing.assert_array_equal(first.actions[:, 1], 0.0)
    way = (
        first.actions[:, 0] - first.actions[14, 0]
    )  # the second is told from where the base is then: after fifteen steps
    np.testing.assert_allclose(second.actions[:15, 0], way[15:], atol=1e-12)


def test_joints_wave_around_where_they_were() -> None:
    robot = load_embodiment(EMBODIMENTS / "aloha.yaml")
    qpos = np.full(14, 0.03)
    first = chunks(robot, qpos)[0]
    np.testing.assert_array_equal(first.actions[:, 1:], 0.03)
    assert np.ptp(first.actions[:, 0]) > 0.1
