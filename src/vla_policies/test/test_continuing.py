"""Real-time chunking through a policy: actions by their times, in their units, guided by the true vector-Jacobian product."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from continuing_policies import HORIZON, continuing_checkpoint
from torch import Tensor

from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.errors import ChunkError
from vla_policies.batch import NetworkInputs
from vla_policies.checkpoint import Checkpoint
from vla_policies.errors import CannotContinue
from vla_policies.families import FAMILIES, hyper_parameters
from vla_policies.groot import GrootNetwork
from vla_policies.heads.real_time_chunking import Guidance, guidance_weight, prefix_weights
from vla_policies.pi0 import Pi0PolicyNetwork
from vla_policies.policy import TorchPolicy

GUIDED = ["pi0", "pi05", "groot"]
DELAY, EXECUTED = 3, 4


def policy_of(checkpoint: Checkpoint) -> TorchPolicy:
    return TorchPolicy(checkpoint.pipeline(), checkpoint.network(), "small@1")


def executed(embodiment, observation, steps_ago: int = 0, length: int = HORIZON) -> ActionChunk:
    """A chunk that began before the observation and moves every joint by its own amount."""
    qpos = observation.proprioception["qpos"]
    actions = qpos + np.linspace(0.0, 0.4, length)[:, None] * np.linspace(-1.0, 1.0, 8)
    start_ns = observation.stamp_ns - steps_ago * embodiment.step_ns
    return ActionChunk(actions, embodiment.action_names, start_ns, embodiment.step_ns, start_ns)


def normalised(checkpoint: Checkpoint, actions: np.ndarray, qpos: np.ndarray) -> Tensor:
    """Offsets of the joints from where they are, in quantiles."""
    offsets = actions.copy()
    offsets[:, :7] -= qpos[:7]
    return torch.from_numpy(checkpoint.config.normalisation["action"].forward(offsets).astype(np.float32))[None]


def network_inputs(checkpoint: Checkpoint, observation) -> NetworkInputs:
    images = {role: observation.images[role][None] for role in checkpoint.config.spec.cameras}
    groups = {"qpos": observation.proprioception["qpos"][None]}
    return checkpoint.pipeline().inputs(images, groups, torch.device("cpu"), (observation.prompt,))


@pytest.mark.parametrize("family", GUIDED)
def test_a_prefix_reaches_the_network_at_its_steps_in_its_numbers(family, embodiment, observation) -> None:
    checkpoint = continuing_checkpoint(family, embodiment)
    chunk = executed(embodiment, observation, steps_ago=5)
    found = policy_of(checkpoint).infer(observation, ActionPrefix(chunk, DELAY, 2, "linear"))
    qpos = observation.proprioception["qpos"]
    left = np.concatenate([chunk.actions[5:], np.zeros((5, 8))])  # what is behind the end has no effect
    previous = normalised(checkpoint, left, qpos)
    network = checkpoint.network()
    wanted = network.predict_guided(network_inputs(checkpoint, observation), previous, Guidance(DELAY, 5, "linear"))
    expected = checkpoint.pipeline().actions(wanted, {"qpos": qpos[None]})[0]
    np.testing.assert_allclose(found.actions, expected, atol=1e-5)
    assert found.start_ns == observation.stamp_ns


@pytest.mark.parametrize("family", GUIDED)
def test_what_is_certain_to_be_executed_comes_back(family, embodiment, observation) -> None:
    policy = policy_of(continuing_checkpoint(family, embodiment))
    chunk = executed(embodiment, observation)
    free = policy.infer(observation).actions
    held = policy.infer(observation, ActionPrefix(chunk, DELAY, EXECUTED)).actions
    error, without = (np.abs(actions - chunk.actions)[:DELAY].mean() for actions in (held, free))
    assert error < 0.35 * without
    nothing_held = policy.infer(observation, ActionPrefix(chunk, 0, HORIZON)).actions
    np.testing.assert_allclose(nothing_held, free, atol=1e-5)


@pytest.mark.parametrize("family", GUIDED)
@pytest.mark.parametrize("with_jacobian", [True, False])
def test_the_guidance_goes_through_the_jacobian_of_the_network(family, with_jacobian, embodiment, observation) -> None:
    """Against the method written out, with the whole Jacobian, in 64 bits."""
    checkpoint = continuing_checkpoint(family, embodiment)
    chunk = executed(embodiment, observation)
    found = policy_of(checkpoint).infer(observation, ActionPrefix(chunk, DELAY, EXECUTED, "exp"))
    network = checkpoint.network().double().requires_grad_(False)
    inputs = network_inputs(checkpoint, observation)
    inputs = dataclasses.replace(
        inputs, images=tuple(image.double() for image in inputs.images), state=inputs.state.double()
    )
    qpos = observation.proprioception["qpos"]
    previous = normalised(checkpoint, chunk.actions, qpos).double()
    sampled = written_out(network, inputs, previous, with_jacobian)
    expected = checkpoint.pipeline().actions(sampled, {"qpos": qpos[None]})[0]
    difference = np.abs(found.actions - expected).max()
    assert difference < 5e-4 if with_jacobian else difference > 5e-3, difference


def written_out(network, inputs: NetworkInputs, previous: Tensor, with_jacobian: bool) -> Tensor:
    """Equations 2 to 4 of arXiv 2506.07339."""
    velocity, x, steps = towards_actions(network, inputs)
    rows, columns = x.shape[1:]
    weights, wanted = torch.zeros((2, rows, columns), dtype=torch.float64)
    weights[:HORIZON, :8] = prefix_weights(Guidance(DELAY, EXECUTED), HORIZON)[:, None]
    wanted[:HORIZON, :8] = previous[0]
    for step in range(steps):
        time = step / steps

        def heading_for(point: Tensor, time: float = time) -> Tensor:
            return point + (1.0 - time) * velocity(point, time)

        pull = ((wanted - heading_for(x)) * weights)[0]
        if with_jacobian:
            jacobian = torch.autograd.functional.jacobian(heading_for, x)[0, :, :, 0]
            pull = torch.einsum("ijkl,ij->kl", jacobian, pull)
        factor = guidance_weight(torch.tensor(time, dtype=torch.float64), 5.0)
        x = x + (velocity(x, time) + factor * pull) / steps
    return x[:, :HORIZON, :8]


def towards_actions(network, inputs: NetworkInputs):
    """Velocities over progress, noise, and the number of steps, of either kind of head."""
    if isinstance(network, GrootNetwork):
        field = network.action_head.velocity_field(network.features(inputs), *network._state(inputs))
        time_of = lambda progress, x: torch.full((len(x),), progress, dtype=torch.float64)  # noqa: E731
        return lambda x, time: field(x, time_of(time, x)), network._noise(inputs), network.config.head.steps
    assert isinstance(network, Pi0PolicyNetwork)
    prefix, state = network.encode(inputs), network._state(inputs)
    return (
        lambda x, time: -network.model.velocity(x, torch.full((len(x),), 1.0 - time, dtype=x.dtype), state, prefix),
        network._noise(inputs),
        network.config.sampling_steps,
    )


def test_a_prefix_that_was_trained_comes_back_exactly(embodiment, observation) -> None:
    policy = policy_of(continuing_checkpoint("pi05", embodiment, trained_prefix=4))
    chunk = executed(embodiment, observation, steps_ago=2)
    assert policy.real_time_chunking == "prefix"
    held = policy.infer(observation, ActionPrefix(chunk, DELAY, EXECUTED)).actions
    np.testing.assert_allclose(held[:DELAY], chunk.actions[2 : 2 + DELAY], atol=1e-5)
    moved = dataclasses.replace(chunk, actions=chunk.actions + 0.2)
    assert np.abs(policy.infer(observation, ActionPrefix(moved, DELAY, EXECUTED)).actions - held)[DELAY:].max() > 1e-5
    longer = policy.infer(observation, ActionPrefix(chunk, 5, 3)).actions  # than was trained: guided
    guided = policy_of(continuing_checkpoint("pi05", embodiment)).infer(observation, ActionPrefix(chunk, 5, 3)).actions
    np.testing.assert_allclose(longer, guided, atol=1e-6)


@pytest.mark.parametrize("family", GUIDED)
def test_who_asks_beforehand_is_told(family, embodiment, checkpoint) -> None:
    config = continuing_checkpoint(family, embodiment).config
    made = hyper_parameters(family, config.network, "test")
    assert policy_of(continuing_checkpoint(family, embodiment)).real_time_chunking == "guided"
    assert FAMILIES[family].real_time_chunking(made) == "guided"
    assert policy_of(checkpoint).real_time_chunking is None


def test_act_cannot(checkpoint, embodiment, observation) -> None:
    message = (
        "small@1: prefix: expected a family whose chunks can go on from the one that is being executed, "
        "'groot', 'pi0' or 'pi05'; found 'act'"
    )
    with pytest.raises(CannotContinue, match=message):
        policy_of(checkpoint).infer(observation, ActionPrefix(executed(embodiment, observation), 1, 2))


def test_actions_of_another_robot_are_refused(embodiment, observation) -> None:
    chunk = dataclasses.replace(executed(embodiment, observation), names=tuple("abcdefgh"))
    with pytest.raises(ChunkError, match=r"expected the actions \['fr3_joint1'"):
        policy_of(continuing_checkpoint("groot", embodiment)).infer(observation, ActionPrefix(chunk, 1, 2))


@pytest.mark.parametrize("family", [*GUIDED, "act"])
def test_warming_up_infers_in_both_ways_and_counts_no_chunk(family, embodiment, observation, checkpoint) -> None:
    made = checkpoint if family == "act" else continuing_checkpoint(family, embodiment)
    network, asked = made.network(), []
    for name in ("predict", "predict_continuing"):
        if hasattr(network, name):
            setattr(network, name, recording(getattr(network, name), asked, name))
    policy = TorchPolicy(made.pipeline(), network, "small@1")
    assert policy.warm_up() > 0.0
    assert asked == (["predict"] if family == "act" else ["predict", "predict_continuing"])
    assert policy.infer(observation).sequence == 0


def recording(method, asked: list[str], name: str):
    return lambda *arguments: (asked.append(name), method(*arguments))[1]
