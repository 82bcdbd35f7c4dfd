"""Every head of the published CrossFormer has a shipped robot whose actions are its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from vla_core.embodiment import load_embodiment
from vla_policies.crossformer.config import PUBLISHED_ENDS
from vla_policies.crossformer.published import _ACTION_KINDS
from vla_policies.spec import require_action_space

EMBODIMENTS = Path(__file__).parents[4] / "config" / "embodiments"
ROBOTS = {
    "bimanual": "aloha",
    "single_arm": "fr3_sim_tcp_delta",
    "nav": "mobile_base_waypoints",
    "quadruped": "quadruped",
}


@pytest.mark.parametrize("head", sorted(PUBLISHED_ENDS.readouts))
def test_every_head_has_a_robot(head: str) -> None:
    robot = load_embodiment(EMBODIMENTS / f"{ROBOTS[head]}.yaml")
    assert len(robot.action_names) == PUBLISHED_ENDS.readouts[head].action_dim
    require_action_space(robot, _ACTION_KINDS[head], f"head '{head}'")
    if head == "bimanual":
        assert len(robot.names_of(robot.proprioception["qpos"])) == PUBLISHED_ENDS.vectors[head].size
