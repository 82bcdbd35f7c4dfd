"""Golden vectors, and made-up episodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from recipe import Golden, read_golden

from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.episodes import EpisodeMetadata, Hdf5EpisodeWriter
from vla_core.observation import Observation, Sample, Step
from vla_policies.batch import NetworkShape
from vla_policies.checkpoint import Checkpoint, PolicyConfig, Provenance
from vla_policies.families import build_network
from vla_policies.normalisation import IMAGENET, Normalisation, NormStats
from vla_policies.spec import ImageSize, PolicySpec

torch.set_num_threads(1)  # these networks are too small to share out, and test machines are busy

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def act_golden() -> Golden:
    return read_golden("act")


@pytest.fixture(scope="session")
def normalisation_golden() -> Golden:
    return read_golden("normalisation")


HOME = np.array([0.0, -0.8, 0.0, -2.3, 0.0, 1.5, 0.8, 0.04])


def tiny_embodiment(width: int = 32, height: int = 24) -> Embodiment:
    """fr3_sim with smaller images."""
    embodiment = load_embodiment(REPOSITORY / "config" / "embodiments" / "fr3_sim.yaml")
    cameras = {
        role: dataclasses.replace(camera, width=width, height=height) for role, camera in embodiment.cameras.items()
    }
    return dataclasses.replace(embodiment, cameras=cameras)


def _record_reaching(
    folder: Path,
    seed: int,
    steps: int = 20,
    dropped: tuple[int, ...] = (),
    outcome: str = "success",
    embodiment: Embodiment | None = None,
) -> Path:
    """An episode of a made-up task: a square in both images says where joints 1 and 2 are to go, and when the gripper closes.

    The motion to the goal takes all the steps. ``dropped`` steps are left out, as a recorder does.
    """
    embodiment = embodiment or tiny_embodiment()
    rng = np.random.default_rng(seed)
    place = rng.uniform(-1.0, 1.0, 2)
    metadata = EpisodeMetadata("reach", "mock", embodiment, task="reaching", seed=seed)
    writer = Hdf5EpisodeWriter(folder, metadata)
    for index in range(steps):
        if index not in dropped:
            writer.append(_reaching_step(embodiment, place, index, steps, rng))
    return writer.finish(outcome)


def reaching_action(place: np.ndarray, share: float) -> np.ndarray:
    """The target at a share of the way."""
    action = HOME.copy()
    action[:2] += 0.4 * place * share
    action[7] = 0.04 if share < 0.5 else 0.0
    return action


def reaching_image(place: np.ndarray, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    image = rng.integers(90, 110, size=(height, width, 3), dtype=np.uint8)
    column, row = ((place + 1.0) / 2.0 * (width - 8, height - 8)).round().astype(int) + 4
    image[row - 3 : row + 3, column - 3 : column + 3] = (220, 60, 40)
    return image


def _reaching_step(embodiment: Embodiment, place: np.ndarray, index: int, steps: int, rng: np.random.Generator) -> Step:
    stamp_ns = 1_000_000_000 + index * embodiment.step_ns
    action = reaching_action(place, index / (steps - 1))
    position = reaching_action(place, max(0, index - 1) / (steps - 1))  # lags one step behind
    zeros = np.zeros(7)
    values = {
        "joints": np.concatenate([position[:7], zeros, zeros]),
        "fingers": np.array([position[7], 0.0, 0.0]),
        "arm_command": action[:7],
        "gripper_command": action[7:],
        **{
            role: reaching_image(place, camera.width, camera.height, rng) for role, camera in embodiment.cameras.items()
        },
    }
    return Step(stamp_ns, {name: Sample(stamp_ns, stamp_ns, value) for name, value in values.items()})


@pytest.fixture(scope="session")
def embodiment() -> Embodiment:
    return tiny_embodiment()


def small_checkpoint(embodiment: Embodiment, **network: object) -> Checkpoint:
    """An untrained policy of the small kind for an embodiment, always the same one."""
    spec = PolicySpec({role: ImageSize(32, 24) for role in embodiment.cameras}, ("qpos",), action_horizon=6)
    stats = Normalisation("act_mean_std", NormStats(tuple(HOME), (0.3,) * 7 + (0.02,)))
    hyper_parameters = {
        "backbone": "small_cnn",
        "image_tokens": "key_points",
        "hidden_dim": 32,
        "feedforward_dim": 48,
        "heads": 4,
        "encoder_layers": 1,
        "use_cvae": False,
        **network,
    }
    config = PolicyConfig(
        schema="vla/policy/1",
        name="small",
        family="act",
        network=hyper_parameters,
        spec=spec,
        normalisation={**dict.fromkeys(embodiment.cameras, IMAGENET), "qpos": stats, "action": stats},
        provenance=Provenance(created="2026-01-01T00:00:00+00:00", source="nowhere"),
        embodiment=embodiment,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = build_network("act", hyper_parameters, NetworkShape(len(embodiment.cameras), 8, 8, 6), "test")
    return Checkpoint(config, untrained.state_dict())


def observation_at_home(embodiment: Embodiment, stamp_ns: int = 5_000_000_000) -> Observation:
    rng = np.random.default_rng(0)
    images = {
        role: rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        for role, camera in embodiment.cameras.items()
    }
    groups = {group: np.zeros(8) for group in embodiment.proprioception}
    return Observation(stamp_ns, images, {**groups, "qpos": HOME.copy()}, "reach", {})


@pytest.fixture
def checkpoint(embodiment: Embodiment) -> Checkpoint:
    return small_checkpoint(embodiment)


@pytest.fixture(scope="session")
def make_checkpoint() -> Callable[..., Checkpoint]:
    return small_checkpoint


@pytest.fixture
def observation(embodiment: Embodiment) -> Observation:
    return observation_at_home(embodiment)


@pytest.fixture(scope="session")
def golden_embodiment() -> Embodiment:
    """With the cameras of the golden ACT: ``front`` and ``wrist``, 128x96."""
    embodiment = tiny_embodiment(width=128, height=96)
    cameras = {"front": embodiment.cameras["scene"], "wrist": embodiment.cameras["wrist"]}
    steps = dataclasses.replace(embodiment.steps, clock="front")
    return dataclasses.replace(embodiment, cameras=cameras, steps=steps)


@pytest.fixture(scope="session")
def record_reaching() -> Callable[..., Path]:
    return _record_reaching
