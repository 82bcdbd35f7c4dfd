"""CrossFormer as a policy of one robot: it learns, it listens, and it says what does not fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import vla_policies
from vla_core import config as configuration
from vla_core.episodes import EpisodeReader
from vla_core.errors import CheckpointError, ConfigError
from vla_policies.batch import NetworkInputs, NetworkShape, NetworkTargets
from vla_policies.crossformer import CrossFormerConfig, CrossFormerPolicy
from vla_policies.crossformer.config import Ends, ImageGroup, Readout, ResNetShape, Trunk, VectorGroup
from vla_policies.crossformer.network import History, Task
from vla_policies.families import build_network
from vla_policies.training.cli import PRESETS
from vla_policies.training.config import Data, Optimisation, Reporting, TrainConfig, load_preset
from vla_policies.training.loop import train

TRUNK = Trunk(
    token_dim=32,
    layers=2,
    mlp_dim=64,
    heads=4,
    dropout=0.0,
    max_horizon=3,
    language_dim=16,
    encoder=ResNetShape(width=8, units=(1, 1), norm_groups=4),
)
SHAPE = NetworkShape(cameras=2, state_dim=8, action_dim=8, action_horizon=6)
SMALL = CrossFormerConfig(trunk=TRUNK, image_size=(24, 32))
TOKENS = TRUNK.encoder.tokens(24, 32)
MANY = Ends(
    images={
        "primary": ImageGroup(goal=True, tokens=TOKENS),
        "nav": ImageGroup(film=False, tokens=TOKENS),
        "left": ImageGroup(tokens=TOKENS),
    },
    vectors={"bimanual": VectorGroup(14), "arm": VectorGroup(8)},
    readouts={"single_arm": Readout(4, 7), "joint": Readout(6, 8, max_action=5.0)},
)


def made(config: CrossFormerConfig = SMALL, shape: NetworkShape = SHAPE) -> CrossFormerPolicy:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CrossFormerPolicy(config, shape)
        for film in (module for name, module in network.named_modules() if name.endswith((".scale", ".shift"))):
            torch.nn.init.normal_(film.weight, std=0.3)  # untrained, it would not listen
    return network.eval()


def inputs(batch: int, prompts: tuple[str, ...] = (), seed: int = 0) -> NetworkInputs:
    generator = torch.Generator().manual_seed(seed)
    images = tuple(torch.randn(batch, 3, 24, 32, generator=generator) for _ in range(2))
    return NetworkInputs(images, torch.randn(batch, 8, generator=generator), prompts)


def targets(batch: int) -> NetworkTargets:
    generator = torch.Generator().manual_seed(1)
    is_pad = torch.arange(6)[None] >= torch.tensor([6, 4, 6, 5, 6, 6])[:batch, None]
    return NetworkTargets(torch.randn(batch, 6, 8, generator=generator), is_pad)


@pytest.mark.parametrize("key_points", [0, 4])
def test_it_overfits_a_handful_of_windows(key_points) -> None:
    """Two of the windows differ in nothing but their instruction."""
    network = made(dataclasses.replace(SMALL, key_points=key_points)).train()
    seen = inputs(6, ("pick the red cube", "pick the blue cube", *("push",) * 4))
    for tensor in (*seen.images, seen.state):
        tensor[1] = tensor[0]
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    first = None
    for _ in range(250):
        losses = network.losses(seen, targets(6))
        first = first or losses["l1"].item()
        optimiser.zero_grad()
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    with torch.no_grad():
        predicted = network.eval().predict(seen)
    error = (predicted - targets(6).actions).abs()[~targets(6).is_pad].mean().item()
    assert error < 0.15 * first


def test_the_loss_is_that_of_what_is_not_padding() -> None:
    network = made()
    with torch.no_grad():
        losses = network.losses(inputs(3), targets(3))
        error = (network.predict(inputs(3)) - targets(3).actions)[~targets(3).is_pad]
    torch.testing.assert_close(losses["l1"], error.abs().mean())
    torch.testing.assert_close(losses["mse"], error.square().mean())
    assert losses["loss"] is losses["l1"]


@torch.no_grad()
def test_a_batch_of_nothing_but_padding_has_no_loss() -> None:
    nothing = dataclasses.replace(targets(2), is_pad=torch.ones(2, 6, dtype=torch.bool))
    assert made().losses(inputs(2), nothing)["loss"] == 0.0


@torch.no_grad()
def test_actions_depend_on_the_instruction_and_nothing_else_of_it() -> None:
    network = made()
    red, blue, none = (network.predict(inputs(2, prompts)) for prompts in (("Red cube!",) * 2, ("blue cube",) * 2, ()))
    assert (red - blue).abs().max() > 1e-3
    torch.testing.assert_close(red, network.predict(inputs(2, ("red cube",) * 2)))
    torch.testing.assert_close(none, network.predict(inputs(2, ("", ""))))


@torch.no_grad()
def test_without_language_an_instruction_changes_nothing() -> None:
    network = made(dataclasses.replace(SMALL, language="none"))
    assert not [name for name, _ in network.named_parameters() if ".film." in name]
    assert torch.equal(network.predict(inputs(2, ("a", "b"))), network.predict(inputs(2)))


def of_many(**changes: object) -> CrossFormerConfig:
    table = {"language": "table", "instructions": ("", "pick")}
    given = {"ends": MANY, "cameras": ("primary", "left"), "state": "arm", "head": "joint", **table, **changes}
    return CrossFormerConfig(trunk=TRUNK, **given)  # type: ignore[arg-type]


def policy_of_many(**changes: object) -> CrossFormerPolicy:
    network = made(of_many(**changes))
    network.instruction_table.copy_(torch.eye(2, 16))
    return network


@torch.no_grad()
def test_a_network_of_many_robots_is_given_the_groups_of_this_one() -> None:
    network = policy_of_many()
    given = inputs(2, ("pick", ""))
    history = History(
        images={"primary": given.images[0][:, None], "left": given.images[1][:, None]},
        vectors={"arm": given.state[:, None]},
        valid=torch.ones(2, 1, dtype=torch.bool),
    )
    expected = network.act(history, Task(torch.eye(2, 16)[[1, 0]]), "joint")
    torch.testing.assert_close(network.predict(given), expected)
    assert network.predict(given).abs().max() < 5.0


@torch.no_grad()
def test_a_goal_image_changes_the_actions_and_black_is_none() -> None:
    network = policy_of_many()
    without = network.predict(inputs(2))
    black = {"primary": torch.full((2, 3, 24, 32), -1.0)}
    torch.testing.assert_close(network.predict(inputs(2), black), without)
    assert (network.predict(inputs(2), {"primary": inputs(2, seed=5).images[0]}) - without).abs().max() > 1e-3


def history_of(images: Tensor, state: Tensor, valid: list[bool]) -> History:
    images, state = images.expand(1, *images.shape), state.expand(1, *state.shape)
    return History({"primary": images, "left": images}, {"arm": state}, torch.tensor([valid]))


@torch.no_grad()
def test_steps_before_the_first_observation_are_not_seen() -> None:
    """What fills them has no effect; what was seen has."""
    network, task = policy_of_many(), Task(torch.ones(1, 16))
    generator = torch.Generator().manual_seed(3)
    images, state = torch.randn(3, 3, 24, 32, generator=generator), torch.randn(3, 8, generator=generator)
    filled = images.clone(), state.clone()
    filled[0][:2], filled[1][:2] = 7.0, -7.0
    padded = [
        network.act(history_of(*given, [False, False, True]), task, "joint") for given in ((images, state), filled)
    ]
    torch.testing.assert_close(*padded)
    seen = [network.act(history_of(*given, [True, True, True]), task, "joint") for given in ((images, state), filled)]
    assert (seen[0] - seen[1]).abs().max() > 1e-3


def acted(network: CrossFormerPolicy, window: list[NetworkInputs], valid: list[bool]) -> Tensor:
    """The actions for what was seen, oldest first."""
    images = {
        group: torch.stack([step.images[index] for step in window], dim=1)
        for index, group in enumerate(("primary", "left"))
    }
    states = torch.stack([step.state for step in window], dim=1)
    task = Task(network.instruction_table[1:2])
    return network.act(History(images, {"arm": states}, torch.tensor([valid])), task, "joint")


def test_a_policy_remembers_as_many_observations_as_it_is_to_see() -> None:
    """The first ones are padded in front; afterwards the oldest is forgotten."""
    network = policy_of_many(history=3)
    seen = [inputs(1, ("pick",), seed=seed) for seed in range(4)]
    for _ in range(2):
        alone, second, third, fourth = (network.predict(step) for step in seen)
        torch.testing.assert_close(alone, acted(network, [seen[0]] * 3, [False, False, True]))
        torch.testing.assert_close(second, acted(network, [seen[0], *seen[:2]], [False, True, True]))
        torch.testing.assert_close(third, acted(network, seen[:3], [True] * 3))
        torch.testing.assert_close(fourth, acted(network, seen[1:], [True] * 3))
        assert not torch.allclose(network.predict(seen[0]), alone, atol=1e-5)
        network.forget()
    batch = inputs(2, ("pick", ""))
    torch.testing.assert_close(network.predict(batch)[:1], acted(network, [first(batch)] * 3, [False, False, True]))


def first(batch: NetworkInputs) -> NetworkInputs:
    return NetworkInputs(tuple(image[:1] for image in batch.images), batch.state[:1], batch.prompts[:1])


def test_a_goal_comes_from_a_file(tmp_path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "goal.png")
    network = policy_of_many(goals={"primary": str(tmp_path / "goal.png")})
    seen = inputs(2, ("", "pick"))
    goal = torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1.0
    expected = policy_of_many().predict(seen, {"primary": goal.expand(2, -1, -1, -1)})
    torch.testing.assert_close(network.predict(seen), expected)
    assert not torch.allclose(network.predict(seen), network.predict(seen, {}), atol=1e-4)
    (tmp_path / "goal.png").write_bytes(b"no image")
    with pytest.raises(CheckpointError, match=r"goal\.png: expected an image, found 8 bytes of something else"):
        policy_of_many(goals={"primary": str(tmp_path / "goal.png")}).predict(seen)
    with pytest.raises(CheckpointError, match=r"nothing\.png: cannot be read"):
        policy_of_many(goals={"primary": str(tmp_path / "nothing.png")}).predict(seen)
    with pytest.raises(ValueError, match="expected groups of the cameras that are conditioned on goals, found 'left'"):
        of_many(goals={"left": "goal.png"})
    with pytest.raises(ValueError, match=r"history: expected at most max_horizon \(3\), found 4"):
        of_many(history=4)


def test_a_history_that_is_too_long_and_a_missing_embedding() -> None:
    network = policy_of_many()
    long = history_of(torch.zeros(4, 3, 24, 32), torch.zeros(4, 8), [True] * 4)
    with pytest.raises(ValueError, match="expected a history of at most 3 steps, found 4"):
        network.act(long, Task(torch.ones(1, 16)), "joint")
    short = history_of(torch.zeros(1, 3, 24, 32), torch.zeros(1, 8), [True])
    with pytest.raises(ValueError, match="expected an embedding of the instruction for the image group 'primary'"):
        network.act(short, Task(), "joint")


def test_an_instruction_without_an_embedding() -> None:
    with pytest.raises(CheckpointError, match="instruction 'throw it': expected one that there is an embedding of"):
        policy_of_many().predict(inputs(2, ("pick", "throw it")))


@pytest.mark.parametrize(
    ("config", "shape", "found"),
    [
        (
            of_many(),
            dataclasses.replace(SHAPE, action_dim=7),
            "dimensions of an action of the head 'joint': .* 8, .* 7",
        ),
        (of_many(), dataclasses.replace(SHAPE, action_horizon=4), "actions of a chunk of the head 'joint': .* 6, .* 4"),
        (of_many(), dataclasses.replace(SHAPE, cameras=1), "cameras: the network has 2, the policy 1"),
        (of_many(state="bimanual"), SHAPE, "numbers of state: the network has 14, the policy 8"),
    ],
)
def test_a_robot_of_other_sizes_is_refused(config, shape, found) -> None:
    with pytest.raises(CheckpointError, match=found):
        CrossFormerPolicy(config, shape)


def test_images_of_another_size_are_refused() -> None:
    wrong = dataclasses.replace(inputs(1), images=tuple(torch.zeros(1, 3, 48, 64) for _ in range(2)))
    with pytest.raises(ValueError, match="image group 'camera_0': expected images of 12 tokens, found 48 of 64x48 px"):
        made().predict(wrong)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"cameras": ["primary"]}, "expected only with ends"),
        ({"language": "table"}, "instructions: expected some exactly with 'language: table', found 0"),
        (
            {"instructions": ["pick"]},
            "instructions: expected some exactly with 'language: table', found 1 with 'hashed'",
        ),
        ({"trunk": {"token_dim": 30, "heads": 4}}, r"expected a multiple of heads \(4\), found 30"),
        ({"trunk": {"encoder": {"width": 24}}}, "a width that is a multiple of norm_groups"),
        ({"ends": {}, "head": "arm"}, "ends.readouts: expected 'arm' among them"),
        (
            {"ends": {"images": {"a": {}}, "readouts": {"arm": {"horizon": 1, "action_dim": 1}}}, "head": "arm"}
            | {"cameras": ["a"], "language": "none"},
            r"language: expected embeddings for the image groups \['a'\]",
        ),
        (
            {"ends": {"images": {"a": {}}, "readouts": {"arm": {"horizon": 1, "action_dim": 1}}}, "head": "arm"}
            | {"cameras": ["a", "a"]},
            "cameras: expected each group once",
        ),
    ],
)
def test_wrong_hyper_parameters(data, found) -> None:
    with pytest.raises(ConfigError, match=found):
        build_network("crossformer", data, SHAPE, "test")


def test_the_configuration_survives_being_written() -> None:
    for config in (SMALL, of_many()):
        assert configuration.from_mapping(CrossFormerConfig, configuration.to_mapping(config), "test") == config


def test_the_preset_is_small() -> None:
    preset = load_preset(PRESETS / "crossformer_small.yaml")
    with torch.device("meta"):
        network = build_network(preset.family, preset.network, NetworkShape(2, 8, 8, preset.action_horizon), "preset")
    assert 0.5e6 < sum(parameter.numel() for parameter in network.parameters()) < 4e6
    assert isinstance(network, CrossFormerPolicy)


def test_it_is_trained_and_loaded_as_any_other(tmp_path, record_reaching) -> None:
    episodes = [record_reaching(tmp_path / "episodes", seed, 12) for seed in range(4)]
    config = TrainConfig(
        schema="vla/training/1",
        name="small",
        family="crossformer",
        action_horizon=6,
        network=configuration.to_mapping(dataclasses.replace(SMALL, key_points=8)),
        optimisation=Optimisation(steps=40, batch_size=8, learning_rate=3e-3, warmup_steps=4, ema_decay=0.8),
        data=Data(validation_share=0.25, validation_windows=16),
        reporting=Reporting(log_every=20, checkpoint_every=40),
    )
    reports = []
    train(config, episodes, tmp_path / "out", reports.append)
    assert reports[-1].losses["l1"] < 0.7 * reports[0].losses["l1"]
    assert reports[-1].losses.keys() == {"loss", "l1", "mse"}
    policy = vla_policies.load(tmp_path / "out")
    with EpisodeReader(episodes[0]) as reader:
        assert policy.infer(reader.observation(0)).actions.shape == (6, 8)
    assert vla_policies.describe(tmp_path / "out")["head"] == "readout_l1"
