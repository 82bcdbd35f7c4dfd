"""A policy has run its network before its node says that it is ready."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import rclpy
from support import EMBODIMENTS, Nodes
from vla_msgs.msg import PolicyStatus
from vla_msgs.srv import LoadPolicy

from vla_core.embodiment import Embodiment
from vla_core.errors import ChunkError
from vla_policy_node.fake import FakePolicy
from vla_policy_node.policy_node import PolicyNode
from vla_policy_node.runner import RunnerState
from vla_ros import host as ros_host

pytestmark = pytest.mark.ros


class Recording(FakePolicy):
    """Notes what the node tells about itself while it warms up."""

    def __init__(self, node: PolicyNode, embodiment: Embodiment, name: str) -> None:
        super().__init__(embodiment)
        self.policy_id = name
        self.told: list[tuple[RunnerState, str]] = []
        self._node = node

    def warm_up(self) -> float:
        self.told.append((self._node._runner.state, self._node._runner.policy_id))
        if self.policy_id == "broken":
            raise ChunkError("chunk 0: action 0 of 'fr3_joint1' is nan")
        return 0.25


@dataclass
class Loaded:
    """A policy node and the policies that it was made to load."""

    policies: list[Recording] = field(default_factory=list)

    def load(self, node: PolicyNode, path: str, device: str) -> Recording:
        self.policies.append(Recording(node, node._embodiment, path))
        return self.policies[-1]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    made = Loaded()
    monkeypatch.setattr(PolicyNode, "_load", lambda node, path, device: made.load(node, path, device))
    return made


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    ros_host.init()
    with Nodes() as running:
        yield running
    rclpy.try_shutdown()


def test_a_policy_warms_up_before_the_node_is_ready(loaded: Loaded, nodes: Nodes) -> None:
    node = nodes.start("policy_node", PolicyNode, embodiment=str(EMBODIMENTS / "fr3_sim.yaml"), policy="first")
    assert loaded.policies[0].told == [(RunnerState.UNLOADED, "")]
    assert (node._runner.state, node._runner.policy_id) == (RunnerState.READY, "first")
    answer = node._on_load(LoadPolicy.Request(path="second"), LoadPolicy.Response())
    assert loaded.policies[1].told == [(RunnerState.READY, "first")]  # not yet the second one
    assert (answer.accepted, answer.policy_id, node._runner.policy_id) == (True, "second", "second")


def test_a_policy_that_fails_to_warm_up_is_not_taken(loaded: Loaded, nodes: Nodes) -> None:
    node = nodes.start("policy_node", PolicyNode, embodiment=str(EMBODIMENTS / "fr3_sim.yaml"))
    answer = node._on_load(LoadPolicy.Request(path="broken"), LoadPolicy.Response())
    assert (answer.accepted, answer.message) == (False, "chunk 0: action 0 of 'fr3_joint1' is nan")
    assert loaded.policies[0].told == [(RunnerState.UNLOADED, "")]
    assert node._runner.state.value == PolicyStatus.UNLOADED
