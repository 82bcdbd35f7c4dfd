"""Inference: when the actions are meant, and what an unusable observation or network leads to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vla_core.action_chunk import validate_chunk
from vla_core.errors import ChunkError, EmbodimentMismatch, StreamError
from vla_core.observation import Observation
from vla_policies.batch import NetworkInputs
from vla_policies.checkpoint import Checkpoint
from vla_policies.policy import TorchPolicy


@pytest.fixture
def policy(checkpoint: Checkpoint) -> TorchPolicy:
    return TorchPolicy(checkpoint.pipeline(), checkpoint.network(), "small@1")


def with_images(observation: Observation, **images) -> Observation:
    return dataclasses.replace(observation, images={**observation.images, **images})


def with_qpos(observation: Observation, qpos: np.ndarray) -> Observation:
    return dataclasses.replace(observation, proprioception={**observation.proprioception, "qpos": qpos})


def test_the_first_action_is_meant_at_the_observation_and_the_others_a_step_apart(policy, observation) -> None:
    chunk = policy.infer(observation)
    assert chunk.start_ns == chunk.observation_ns == observation.stamp_ns
    assert chunk.step_ns == round(1e9 / 30)
    assert chunk.actions.shape == (6, 8)
    assert chunk.policy_id == "small@1"
    assert chunk.inference_latency_ns > 0
    validate_chunk(chunk, policy.embodiment.action_names)


def test_the_same_observation_gives_the_same_actions_and_the_next_number(policy, observation) -> None:
    first = policy.infer(observation)
    policy.reset()
    second = policy.infer(observation)
    assert (first.actions == second.actions).all()
    assert (first.sequence, second.sequence) == (0, 1)


def test_an_observation_is_left_as_it_was(policy, observation) -> None:
    before = {role: image.copy() for role, image in observation.images.items()}
    qpos = observation.proprioception["qpos"].copy()
    policy.infer(observation)
    assert all((before[role] == image).all() for role, image in observation.images.items())
    assert (observation.proprioception["qpos"] == qpos).all()


def test_every_input_matters(policy, observation) -> None:
    actions = policy.infer(observation).actions
    black = np.zeros_like(observation.images["scene"])
    for changed in (
        with_images(observation, scene=black),
        with_images(observation, wrist=black),
        with_qpos(observation, observation.proprioception["qpos"] + 0.1),
    ):
        assert np.abs(policy.infer(changed).actions - actions).max() > 1e-4


def test_images_of_another_size_are_resized(policy, observation) -> None:
    doubled = {role: image.repeat(2, axis=0).repeat(2, axis=1) for role, image in observation.images.items()}
    np.testing.assert_allclose(
        policy.infer(with_images(observation, **doubled)).actions, policy.infer(observation).actions, atol=1e-9
    )


def test_offsets_are_added_to_the_measured_positions(checkpoint, observation) -> None:
    spec = dataclasses.replace(checkpoint.config.spec, action_reference="qpos")
    relative = Checkpoint(dataclasses.replace(checkpoint.config, spec=spec), checkpoint.weights)
    actions = [
        TorchPolicy(kind.pipeline(), kind.network(), "p").infer(observation).actions for kind in (checkpoint, relative)
    ]
    expected = actions[0] + np.append(observation.proprioception["qpos"][:7], 0.0)
    np.testing.assert_allclose(actions[1], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda o: dataclasses.replace(o, images={"scene": o.images["scene"]}),
            "small@1: expected the camera 'wrist', found 'scene'",
        ),
        (
            lambda o: with_images(o, wrist=o.images["wrist"][..., 0]),
            r"camera 'wrist': expected \(height, width, 3\) uint8, found \(24, 32\) uint8",
        ),
        (
            lambda o: with_images(o, wrist=o.images["wrist"].astype(np.float32)),
            r"camera 'wrist': .* found \(24, 32, 3\) float32",
        ),
        (
            lambda o: dataclasses.replace(o, proprioception={"qvel": np.zeros(8)}),
            "expected the proprioception group 'qpos', found 'qvel'",
        ),
        (lambda o: with_qpos(o, np.zeros(7)), r"qpos: expected 8 values .* found shape \(7,\)"),
    ],
)
def test_an_observation_of_another_robot_is_refused(change, message, policy, observation) -> None:
    with pytest.raises(EmbodimentMismatch, match=message):
        policy.infer(change(observation))


def test_a_measured_value_that_is_no_number_is_refused_by_name(policy, observation) -> None:
    qpos = observation.proprioception["qpos"].copy()
    qpos[2] = np.nan
    with pytest.raises(StreamError, match="qpos: expected a finite number for 'fr3_joint3', found nan"):
        policy.infer(with_qpos(observation, qpos))


def test_a_network_that_outputs_nan_is_refused(checkpoint, observation) -> None:
    network = checkpoint.network()
    with torch.no_grad():
        network.head.projection.bias[7] = torch.nan
    policy = TorchPolicy(checkpoint.pipeline(), network, "small@1")
    with pytest.raises(ChunkError, match="chunk 0: action 0 of 'gripper' is nan, expected a finite number"):
        policy.infer(observation)


def test_the_network_gets_the_instruction_of_the_observation(checkpoint, observation) -> None:
    class Listening(torch.nn.Module):
        """Remembers the instructions that it is given."""

        def predict(self, inputs: NetworkInputs) -> torch.Tensor:
            self.heard = inputs.prompts
            return torch.zeros(1, 6, 8)

    network = Listening()
    TorchPolicy(checkpoint.pipeline(), network, "p").infer(dataclasses.replace(observation, prompt="fold the towel"))
    assert network.heard == ("fold the towel",)
