"""Recording equals rollout: the row recorded at a time is, bit for bit, the observation that the policy got for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from support import Nodes

from vla.graph import Bringup, bringup_graph
from vla.ros.operator import Operator
from vla.supervisor import Supervisor
from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.episodes import EpisodeReader
from vla_core.observation import Observation
from vla_policy_node.fake import FakePolicy
from vla_policy_node.policy_node import PolicyNode
from vla_recorder.recorder_node import RecorderNode

pytestmark = pytest.mark.ros


class Spy(FakePolicy):
    """A fake policy that keeps what it was shown."""

    def infer(self, observation: Observation, prefix: ActionPrefix | None = None) -> ActionChunk:
        self.seen = [*getattr(self, "seen", []), observation]
        return super().infer(observation, prefix)


@dataclass(frozen=True)
class Rollout:
    """What was recorded, and what the policy saw meanwhile."""

    path: Path
    seen: list[Observation]


@pytest.fixture(scope="module")
def rollout(tmp_path_factory: pytest.TempPathFactory) -> Rollout:
    """Two seconds of a policy, recorded: simulator and command_node in processes, policy and recorder in this one."""
    spies: list[Spy] = []

    def load(node: PolicyNode, path: str, device: str) -> Spy:
        spies.append(Spy(node._embodiment))
        return spies[-1]

    folder = tmp_path_factory.mktemp("episodes")
    graph = bringup_graph(Bringup(policy="fake", record=True, lockstep=True, episodes=str(folder)))
    here = {"policy_node": PolicyNode, "recorder_node": RecorderNode}
    with (
        pytest.MonkeyPatch.context() as patch,
        Supervisor([p for p in graph.processes if p.name not in here], os.environ) as supervisor,
        Operator(supervisor.check) as operator,
        Nodes() as nodes,
    ):
        patch.setattr(PolicyNode, "_load", load)
        for process in graph.processes:
            if process.name in here:
                nodes.start(process.name, here[process.name], **process.parameters)
        operator.reset_world(5)
        operator.run_simulation(0.4)
        operator.arm()
        operator.run_simulation(0.1)  # the gripper's target is announced from now on
        operator.start_episode("wave")
        goal = operator.start_policy("wave")
        operator.run_simulation(2.0)
        path = operator.stop_episode("success").path
        operator.end_policy(goal)
    return Rollout(Path(path), spies[0].seen)


def test_a_recorded_step_equals_the_policys_observation(rollout: Rollout) -> None:
    with EpisodeReader(rollout.path) as episode:
        rows = {int(stamp): index for index, stamp in enumerate(episode.stamps_ns)}
        compared = [(rows[o.stamp_ns], o) for o in rollout.seen if o.stamp_ns in rows]
        assert len(compared) >= 6
        for row, observation in compared:
            recorded = episode.observation(row)
            assert observation.prompt == recorded.prompt == "wave"
            for role in ("scene", "wrist"):
                np.testing.assert_array_equal(recorded.images[role], observation.images[role])
            for group in ("qpos", "qvel", "effort"):
                np.testing.assert_array_equal(recorded.proprioception[group], observation.proprioception[group])
            assert {stream: recorded.ages_ns[stream] for stream in observation.ages_ns} == dict(observation.ages_ns)
        images = [observation.images["scene"] for _, observation in compared]
        assert any((image != images[0]).any() for image in images)  # the arm was seen to move


def test_the_episode_opens_with_plain_h5py_in_the_aloha_layout(rollout: Rollout) -> None:
    """What tonyzhaozh/act's loader does with a file (utils.py, EpisodicDataset), in plain h5py."""
    with h5py.File(rollout.path, "r") as root:
        assert root.attrs["sim"]
        length, dims = root["/action"].shape
        assert dims == 8
        start = length // 2
        assert root["/observations/qpos"][start].shape == (8,)
        assert root["/observations/qvel"][start].shape == (8,)
        for camera in ("scene", "wrist"):
            image = root[f"/observations/images/{camera}"][start]
            assert image.shape == (96, 128, 3)
            assert image.dtype == np.uint8
        assert root["/action"][start:].shape == (length - start, 8)
