"""Published checkpoints of CrossFormer, made by the test from the golden weights: they load, or what is wrong is said."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flax_files import packed, tree_of
from loading_checks import require_loaded_as_converted
from PIL import Image
from recipe import Golden, read_golden

from vla_core import config as configuration
from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError, ConfigError, EmbodimentMismatch
from vla_policies import own_files
from vla_policies.checkpoint import PolicyConfig, read_checkpoint, write_checkpoint
from vla_policies.containers import Told, container_of, convert, read_any
from vla_policies.crossformer.language import write_embeddings
from vla_policies.crossformer.network import CrossFormer, History, Task, normalise_pixels
from vla_policies.crossformer.published import CrossFormerTold, is_crossformer, parameters_file, read_crossformer
from vla_policies.description import describe
from vla_policies.errors import MissingInformation
from vla_policies.policy import TorchPolicy
from vla_policies.weights import require_fit

PATH = "crossformer_transformer/"
EMBEDDINGS = {"": torch.zeros(8), "pick the cube": torch.linspace(-1.0, 1.0, 8)}
CAMERAS = ("nav=wrist", "primary=front")
STEP = 300000


def module(name: str, **kwargs: object) -> dict[str, Any]:
    return {"module": "crossformer.model.components", "name": name, "args": [], "kwargs": kwargs}


def image_tokenizer(key: str, film: bool) -> dict[str, Any]:
    encoder = module("ResNet26FILM" if film else "ResNet26")
    languages = ["language_instruction"] if film else []
    return module(
        "ImageTokenizer", obs_stack_keys=[key], task_stack_keys=[key], task_film_keys=languages, encoder=encoder
    )


def head(name: str, horizon: int, dim: int) -> dict[str, Any]:
    sizes = {"action_horizon": horizon, "action_dim": dim, "num_preds": dim, "readout_key": f"readout_{name}"}
    return module("L1ActionHead", pool_strategy="pass", clip_pred=False, loss_weight=1.0, **sizes)


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    readouts = {**config["readouts"], "joint": [config["readouts"]["bimanual"][0], 8]}
    return {
        "model": {
            "observation_tokenizers": {
                **{name: image_tokenizer(key, film) for name, key, _, film in config["groups"]},
                "left": image_tokenizer("image_left_wrist", True),  # not among the data, so there are no weights of it
                "bimanual": module("LowdimObsTokenizer", obs_keys=["proprio_bimanual"], dropout_rate=0.2),
                "arm": module("LowdimObsTokenizer", obs_keys=["proprio_arm"]),
            },
            "task_tokenizers": {},
            "heads": {name: head(name, *sizes) for name, sizes in readouts.items()},
            "readouts": {name: horizon for name, (horizon, _) in readouts.items()},
            "token_embedding_size": config["token_dim"],
            "transformer_kwargs": {
                "num_layers": config["layers"],
                "mlp_dim": config["mlp_dim"],
                "num_attention_heads": config["heads"],
                "dropout_rate": 0.1,
                "attention_dropout_rate": 0.0,
                "repeat_pos_enc": True,
            },
            "max_horizon": config["max_horizon"],
        },
        "text_processor": module("UniversalSentenceEncoder"),
        "skip_norm_keys": ["proprio_bimanual"],
        "dataset_kwargs": {"oxe_kwargs": {"data_mix": "cross_embodiment"}},
    }


def parameters_of(golden: Golden) -> dict[str, np.ndarray]:
    """The golden weights, with a head and a group of numbers for an arm of eight joints, cut from those of two arms."""
    arrays = {key: value.numpy() for key, value in golden.weights.items() if not key.startswith("standalone_film/")}
    for leaf in ("kernel", "bias"):
        arrays[f"heads_joint/mean_proj/{leaf}"] = arrays[f"heads_bimanual/mean_proj/{leaf}"][..., :8]
        arrays[f"{PATH}obs_arm_projection/{leaf}"] = arrays[f"{PATH}obs_bimanual_projection/{leaf}"]
    arrays[f"{PATH}readout_joint_pos_embedding"] = arrays[f"{PATH}readout_bimanual_pos_embedding"]
    arrays[f"{PATH}obs_arm_pos_embedding"] = arrays[f"{PATH}obs_bimanual_pos_embedding"][:, :, :8]
    return arrays


ACTION_STATS = {
    "mean": np.linspace(-1.0, 1.0, 8).tolist(),
    "std": np.linspace(0.1, 0.5, 8).tolist(),
    "p01": np.linspace(-2.0, -1.0, 8).tolist(),
    "p99": np.linspace(1.0, 2.0, 8).tolist(),
    "mask": [True] * 7 + [False],
}
STATISTICS = {
    "bridge_dataset": {"action": {"mean": [0.0] * 7, "std": [1.0] * 7}, "num_transitions": 3, "num_trajectories": 1},
    "fr3": {"action": ACTION_STATS, "proprio_arm": {"mean": [0.5] * 8, "std": [2.0] * 8}, "num_transitions": 5},
}


@pytest.fixture(scope="module")
def golden() -> Golden:
    return read_golden("crossformer")


@pytest.fixture
def told(tmp_path) -> CrossFormerTold:
    write_embeddings(tmp_path / "use.safetensors", EMBEDDINGS)
    return CrossFormerTold(head="joint", state="arm", dataset="fr3", language=str(tmp_path / "use.safetensors"))


@pytest.fixture(scope="module")
def settings(golden) -> dict[str, Any]:
    return settings_of(golden.description["config"])


@pytest.fixture(scope="module")
def parameters(golden, tmp_path_factory) -> Iterator[dict[str, Path]]:
    """``whole`` and, to be read faster, ``light``: without the image encoders, of which only one layer is asked for a size."""
    folder = tmp_path_factory.mktemp("crossformer")
    arrays = parameters_of(golden)
    light = {
        path: array
        for path, array in arrays.items()
        if "_tokenizers_" not in path or path.endswith("/FilmConditioning_0/Dense_0/kernel")
    }
    for name, written in (("whole", arrays), ("light", light)):
        (folder / name).write_bytes(packed(tree_of(written)))
    yield {name: folder / name for name in ("whole", "light")}
    (folder / "whole").unlink()  # a hundred megabytes


@pytest.fixture
def make(tmp_path, settings, parameters) -> Iterator[Callable[..., Path]]:
    """Makes a folder; changes of its settings are given as ``{"model.heads.nav.name": value}``."""
    folder = tmp_path / "published"

    def make(
        changes: dict[str, Any] | None = None, statistics: object = STATISTICS, step: int = STEP, size: str = "light"
    ) -> Path:
        changed = copy.deepcopy(settings)
        for path, value in (changes or {}).items():
            *places, last = path.split(".")
            place = changed
            for name in places:
                place = place[name]
            place[last] = value
        inner = folder / str(step) / "default"
        inner.mkdir(parents=True)
        os.link(parameters[size], inner / "checkpoint")
        (folder / "config.json").write_text(json.dumps(changed))
        (folder / "dataset_statistics.json").write_text(json.dumps(statistics))
        return folder

    yield make
    for file in folder.glob("*/default/checkpoint"):
        file.unlink()


@torch.no_grad()
def test_what_is_loaded_gives_the_references_actions(make, golden, golden_embodiment, told) -> None:
    network = read_crossformer(make(size="whole"), golden_embodiment, CAMERAS, told).network()
    assert isinstance(network, CrossFormer)
    arrays = golden.arrays
    history = History(
        images={name: normalise_pixels(arrays[f"in.obs.image_{name}"]) for name in ("primary", "nav")},
        vectors={"bimanual": arrays["in.obs.proprio_bimanual"]},
        valid=arrays["in.obs.timestep_pad_mask"],
        image_valid={name: arrays[f"in.pad.image_{name}"] for name in ("primary", "nav")},
    )
    goals = {name: normalise_pixels(arrays[f"in.task.image_{name}"]) for name in ("primary", "nav")}
    task = Task(arrays["in.task.language_instruction"], goals)
    for name, expected in {
        **{name: arrays[f"out.{name}.action"] for name in ("bimanual", "single_arm", "nav", "quadruped")},
        "joint": arrays["out.bimanual.action"][..., :8],
    }.items():
        torch.testing.assert_close(network.act(history, task, name), expected, atol=5e-5, rtol=0.0)


def test_it_becomes_a_policy_of_ours(make, golden_embodiment, told, tmp_path) -> None:
    checkpoint = read_crossformer(make(size="whole"), golden_embodiment, CAMERAS, told, name="x")
    config = checkpoint.config
    assert (config.family, config.name, config.spec.action_horizon) == ("crossformer", "x", 5)
    assert {role: (size.height, size.width) for role, size in config.spec.cameras.items()} == {
        "front": (64, 64),
        "wrist": (64, 64),
    }
    require_fit(checkpoint.skeleton(), checkpoint.weights, "test")
    plain = configuration.to_mapping(config)
    assert configuration.from_mapping(PolicyConfig, plain, "test") == config
    write_checkpoint(tmp_path / "ours", checkpoint)
    read = read_checkpoint(tmp_path / "ours")
    assert read.config == config
    assert all(torch.equal(read.weights[key], value) for key, value in checkpoint.weights.items())
    (tmp_path / "ours" / "model.safetensors").unlink()


def test_it_acts_with_statistics_and_pixels_as_the_reference(make, golden_embodiment, told) -> None:
    checkpoint = read_crossformer(make(), golden_embodiment, CAMERAS, told)
    pipeline = checkpoint.pipeline()
    images = {role: np.full((1, 64, 64, 3), value, np.uint8) for role, value in (("front", 0), ("wrist", 255))}
    inputs = pipeline.inputs(images, {"qpos": np.full((1, 8), 4.5)}, torch.device("cpu"))
    assert [image.unique().tolist() for image in inputs.images] == [[-1.0], [1.0]]
    torch.testing.assert_close(inputs.state, torch.full((1, 8), 2.0))
    normalised = torch.ones(1, 5, 8)
    expected = np.array(ACTION_STATS["mean"]) + np.array(ACTION_STATS["std"])
    expected[7] = 1.0  # not normalised: the gripper
    np.testing.assert_allclose(pipeline.actions(normalised, {"qpos": np.zeros((1, 8))})[0, 0], expected, rtol=1e-6)


def test_bounds_and_a_state_that_is_left_as_it_is(make, golden_embodiment, told) -> None:
    changes = {
        "skip_norm_keys": ["proprio_arm"],
        "dataset_kwargs.oxe_kwargs.action_proprio_normalization_type": "bounds",
    }
    normalisation = read_crossformer(make(changes), golden_embodiment, CAMERAS, told).config.normalisation
    assert normalisation["qpos"].scheme == "identity"
    assert normalisation["action"].scheme == "crossformer_bounds"
    np.testing.assert_allclose(normalisation["action"].inverse(np.ones(8)), [*ACTION_STATS["p99"][:7], 1.0])


def test_statistics_of_one_data_set_need_no_name(make, golden_embodiment, told) -> None:
    use = dataclasses.replace(told, dataset="")
    for number, statistics in enumerate((STATISTICS["fr3"], {"fr3": STATISTICS["fr3"]})):
        config = read_crossformer(make(statistics=statistics, step=number), golden_embodiment, CAMERAS, use).config
        assert config.normalisation["action"].scheme == "crossformer_normal"


def test_the_last_step_is_taken_unless_another_is_named(make) -> None:
    folder = make(step=900)
    make(step=1000)
    assert parameters_file(folder) == folder / "1000" / "default" / "checkpoint"
    assert parameters_file(folder / "900") == folder / "900" / "default" / "checkpoint"
    assert parameters_file(folder / "nothing") is None
    assert [is_crossformer(path) for path in (folder, folder / "900", folder.parent)] == [True, True, False]


def test_it_infers(make, golden_embodiment, told, observation) -> None:
    checkpoint = read_crossformer(make(size="whole"), golden_embodiment, CAMERAS, told)
    rng = np.random.default_rng(0)
    images = {role: rng.integers(0, 256, (96, 128, 3), dtype=np.uint8) for role in ("front", "wrist")}
    policy = TorchPolicy(checkpoint.pipeline(), checkpoint.network(), "x")
    chunk = policy.infer(dataclasses.replace(observation, images=images, prompt=""))
    assert chunk.actions.shape == (5, 8)


def test_it_is_loaded_as_it_is(make, golden_embodiment, told, observation, tmp_path) -> None:
    rng = np.random.default_rng(0)
    images = {role: rng.integers(0, 256, (96, 128, 3), dtype=np.uint8) for role in ("front", "wrist")}
    seen = dataclasses.replace(observation, images=images, prompt="pick the cube")
    details = {"head": told.head, "state": told.state, "dataset": told.dataset, "language": told.language}
    knows = Told(golden_embodiment, CAMERAS, details=details)
    require_loaded_as_converted(make(size="whole"), knows, seen, tmp_path, "rail-berkeley/crossformer")
    (tmp_path / "moved" / "model.safetensors").unlink()  # a hundred megabytes


def test_history_goals_and_how_images_are_resized(make, golden_embodiment, told, tmp_path) -> None:
    folder = make({"dataset_kwargs.traj_transform_kwargs": {"window_size": 2}})
    config = read_crossformer(folder, golden_embodiment, CAMERAS, told).config
    assert (config.network["history"], config.spec.cameras["front"].resize) == (2, "lanczos3")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "goal.png")
    named = {"primary": str(tmp_path / "goal.png"), "nav": str(tmp_path / "goal.png")}
    use = dataclasses.replace(told, history=1, goals=named)
    checkpoint = read_crossformer(folder, golden_embodiment, CAMERAS, use)
    assert checkpoint.config.network["history"] == 1
    kept = own_files.kept(tmp_path, "crossformer", {"goals": {"primary": str(tmp_path / "goal.png")}})
    assert kept == {"goals": {"primary": "goal.png"}}
    (tmp_path / "ours").mkdir()
    kept = own_files.kept(tmp_path / "ours", "crossformer", checkpoint.config.network)
    assert kept["goals"] == {"primary": "primary_goal.png", "nav": "nav_goal.png"}
    found = own_files.found(tmp_path / "ours", "crossformer", kept)
    assert found["goals"]["nav"] == str(tmp_path / "ours" / "nav_goal.png")
    with pytest.raises(CheckpointError, match="history: expected at most max_horizon"):
        read_crossformer(folder, golden_embodiment, CAMERAS, dataclasses.replace(told, history=99))
    with pytest.raises(CheckpointError, match="goals: expected groups of the cameras"):
        read_crossformer(folder, golden_embodiment, CAMERAS, dataclasses.replace(told, goals={"left": "x"}))


def test_numbers_and_language_may_be_left_out(make, golden_embodiment) -> None:
    """The group ``nav`` is not conditioned on language."""
    told = CrossFormerTold(head="joint", dataset="fr3")
    checkpoint = read_crossformer(make(), golden_embodiment, ["nav=wrist"], told)
    assert list(checkpoint.config.spec.cameras) == ["wrist"]
    assert checkpoint.config.normalisation["qpos"].scheme == "identity"
    assert "instruction_table" not in checkpoint.weights


@pytest.mark.parametrize(
    ("changes", "error", "found"),
    [
        ({"head": "bimanual"}, EmbodimentMismatch, "the robot has 8 dimensions, it has 14"),
        (
            {"head": "single_arm"},
            EmbodimentMismatch,
            r"its actions are tcp_delta \(changes of the end effector's pose\); those of .* are joint_position",
        ),
        ({"head": ""}, MissingInformation, "head: expected 'bimanual', .* or 'joint', found ''"),
        ({"dataset": ""}, MissingInformation, "dataset: expected 'bridge_dataset' or 'fr3', found ''"),
        ({"dataset": "go1"}, MissingInformation, "found 'go1'"),
        ({"dataset": "bridge_dataset"}, CheckpointError, "proprio_arm: expected .*, found None"),
        ({"state": "left"}, MissingInformation, "state: expected 'bimanual' or 'arm' or none, found 'left'"),
        ({"state": "bimanual"}, EmbodimentMismatch, "state: the robot has 8 dimensions, it has 14"),
        ({"language": ""}, MissingInformation, r"image groups \['primary'\] are conditioned on language"),
    ],
)
def test_a_robot_that_it_does_not_fit(changes, error, found, make, golden_embodiment, told) -> None:
    with pytest.raises(error, match=found):
        read_crossformer(make(), golden_embodiment, CAMERAS, dataclasses.replace(told, **changes))


@pytest.mark.parametrize(
    ("cameras", "error", "found"),
    [
        ([], MissingInformation, r"expected cameras as 'group=role', .* \['primary', 'nav'\], found \[\]"),
        (["front"], MissingInformation, r"found \['front'\]"),
        (["left=front"], MissingInformation, r"found \['left=front'\]"),  # there are no weights of it
        (["primary=front", "primary=wrist"], MissingInformation, "each once"),
        (["primary=front", "nav=front"], MissingInformation, "each once"),
        (["primary=top"], EmbodimentMismatch, "group 'primary': expected one of the cameras of .*, found 'top'"),
    ],
)
def test_cameras_that_it_does_not_have(cameras, error, found, make, golden_embodiment, told) -> None:
    with pytest.raises(error, match=found):
        read_crossformer(make(), golden_embodiment, cameras, told)


def test_embeddings_of_another_encoder(make, golden_embodiment, told, tmp_path) -> None:
    write_embeddings(tmp_path / "other.safetensors", {"pick": torch.zeros(4)})
    told = dataclasses.replace(told, language=str(tmp_path / "other.safetensors"))
    with pytest.raises(CheckpointError, match=r"'pick': expected an embedding of 8 numbers, found the shape \(4,\)"):
        read_crossformer(make(), golden_embodiment, CAMERAS, told)


MODEL = "model."
PRIMARY = MODEL + "observation_tokenizers.primary."


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({MODEL + "task_tokenizers": 3}, "task_tokenizers: expected names with values, found 3"),
        ({"skip_norm_keys": 3}, "skip_norm_keys: expected a list of names, found 3"),
        ({"model": 3}, r"config.json.model: expected names with values, found 3"),
        (
            {MODEL + "task_tokenizers": {"language": {}}},
            "task tokenizers, 'language', such as Octo; Octo is not supported",
        ),
        (
            {MODEL + "heads.nav.name": "DiffusionActionHead"},
            "heads.nav: expected .*L1ActionHead.*, found 'DiffusionActionHead'",
        ),
        (
            {MODEL + "heads.nav.kwargs.pool_strategy": "use_map"},
            "heads.nav.pool_strategy: expected 'pass', found 'use_map'",
        ),
        ({MODEL + "heads.nav.kwargs.num_preds": 8}, "heads.nav.num_preds: expected 2, found 8"),
        (
            {MODEL + "heads.nav.kwargs.action_horizon": -1},
            "heads.nav.action_horizon: expected a whole number above 0, found -1",
        ),
        ({MODEL + "readouts": {}}, r"action_horizon: expected as many as its readouts \(None\), found 5"),
        ({MODEL + "transformer_kwargs.repeat_pos_enc": False}, "repeat_pos_enc: expected True, found False"),
        (
            {MODEL + "transformer_kwargs.num_layers": 10**9},
            r"num_layers: expected as many as there are weights of \(2\)",
        ),
        ({MODEL + "transformer_kwargs.num_attention_heads": 3}, r"token_dim: expected a multiple of heads \(3\)"),
        ({PRIMARY + "name": "PatchTokenizer"}, "observation_tokenizers.primary: expected .*, found 'PatchTokenizer'"),
        ({PRIMARY + "kwargs.encoder.name": "SmallStem16"}, "primary.encoder: expected .*, found 'SmallStem16'"),
        ({PRIMARY + "kwargs.encoder.name": "ResNet26"}, "encoder: expected one with FILM exactly with task_film_keys"),
        ({PRIMARY + "kwargs.use_token_learner": True}, "use_token_learner: expected False, found True"),
        ({PRIMARY + "kwargs.obs_stack_keys": ["a", "b"]}, r"obs_stack_keys: expected one name, found \['a', 'b'\]"),
        ({PRIMARY + "kwargs.task_stack_keys": ["image_nav"]}, r"task_stack_keys: expected none or \['image_primary'\]"),
        ({MODEL + "observation_tokenizers.arm.kwargs.discretize": True}, "discretize: expected False, found True"),
        (
            {"dataset_kwargs.oxe_kwargs.action_proprio_normalization_type": "tanh"},
            "action_proprio_normalization_type: expected .*, found 'tanh'",
        ),
    ],
)
def test_settings_of_something_else(changes, found, make, golden_embodiment, told) -> None:
    with pytest.raises(CheckpointError, match=found):
        read_crossformer(make(changes), golden_embodiment, CAMERAS, told)


def test_settings_that_do_not_fit_the_weights(make, golden_embodiment, told) -> None:
    checkpoint = read_crossformer(make({MODEL + "transformer_kwargs.mlp_dim": 128}), golden_embodiment, CAMERAS, told)
    with pytest.raises(CheckpointError, match=r"linear1.weight: expected \(128, 32\), found \(64, 32\)"):
        require_fit(checkpoint.skeleton(), checkpoint.weights, "test")


@pytest.mark.parametrize(
    ("statistics", "found"),
    [
        ({"action": {"mean": [0.0] * 8}}, r"action: expected .*mean.*std.*, found \['mean'\]"),
        ({"action": {"mean": [0.0] * 8, "std": [1.0] * 7}}, "expected as many means as stds"),
        ({"action": {"mean": ["x"] * 8, "std": [1.0] * 8}}, "could not convert string to float"),
        ({"fr3": 3}, "fr3: expected statistics by name, found 3"),
    ],
)
def test_wrong_statistics(statistics, found, make, golden_embodiment, told) -> None:
    with pytest.raises(CheckpointError, match=found):
        read_crossformer(make(statistics=statistics), golden_embodiment, CAMERAS, dataclasses.replace(told, dataset=""))


def test_truncated_parameters_and_others_that_are_not_there(make, golden_embodiment, told, tmp_path) -> None:
    folder = make()
    file = folder / str(STEP) / "default" / "checkpoint"
    content = file.read_bytes()
    file.unlink()  # the others share it
    file.write_bytes(content[: len(content) // 3])
    with pytest.raises(
        CheckpointError, match=r"checkpoint: expected a whole msgpack file of flax, found its end \d+ bytes"
    ):
        read_crossformer(folder, golden_embodiment, CAMERAS, told)
    file.unlink()
    with pytest.raises(
        CheckpointError, match="expected the parameters of a step in '<step>/default/checkpoint', found none"
    ):
        read_crossformer(folder, golden_embodiment, CAMERAS, told)
    (file.parent / "manifest.ocdbt").touch()
    with pytest.raises(
        CheckpointError, match=r"found orbax's newer layout with 'manifest\.ocdbt', which is not supported"
    ):
        read_crossformer(folder, golden_embodiment, CAMERAS, told)


def test_weights_that_are_not_finite(make, golden, golden_embodiment, told) -> None:
    folder = make()
    file = folder / str(STEP) / "default" / "checkpoint"
    file.unlink()
    file.write_bytes(packed(tree_of({"heads_nav/mean_proj/bias": np.array([np.nan], np.float32)})))
    with pytest.raises(
        CheckpointError, match=r"expected finite weights, found NaN or infinity in heads\.nav\.mean_proj\.bias"
    ):
        read_crossformer(folder, golden_embodiment, CAMERAS, told)


def told_by_the_user(robot: Embodiment | None, told: CrossFormerTold, **details: object) -> Told:
    return Told(robot, CAMERAS, name="x", details={**dataclasses.asdict(told), **details})


def test_it_is_recognised_described_and_converted(make, golden_embodiment, told, tmp_path) -> None:
    folder = make(size="whole")
    assert container_of(folder) == "crossformer"
    described = describe(folder, told_by_the_user(golden_embodiment, told))
    assert (described["family"], described["head"], described["container"]) == (
        "crossformer",
        "readout_l1",
        "crossformer",
    )
    assert (described["action_horizon"], described["cameras"]) == (5, {"front": "64x64", "wrist": "64x64"})
    convert(folder, tmp_path / "ours", told=told_by_the_user(golden_embodiment, told))
    assert container_of(tmp_path / "ours") == "vla"
    (tmp_path / "ours" / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("robot", "details", "error", "found"),
    [
        (False, {}, MissingInformation, "expected --embodiment"),
        (True, {"heads": 8}, CheckpointError, "may be told 'head', 'state', .* or 'goals', found 'heads'"),
        (True, {"head": [1]}, ConfigError, r"told: head: expected .* string, found \[1\]"),
    ],
)
def test_what_is_told_is_checked(robot, details, error, found, make, golden_embodiment, told) -> None:
    with pytest.raises(error, match=found):
        read_any(make(), told_by_the_user(golden_embodiment if robot else None, told, **details))
