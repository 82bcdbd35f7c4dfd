"""Foreign checkpoints: tonyzhaozh/act and LeRobot give their own actions here; damaged and hostile ones are refused."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vla_core.errors import CheckpointError, EmbodimentMismatch
from vla_policies.act.lerobot import read_lerobot_act
from vla_policies.act.original import read_original
from vla_policies.formats.restricted_pickle import read_arrays

QPOS_MEAN, QPOS_STD = np.linspace(-1.0, 1.0, 8), np.linspace(0.1, 0.9, 8)
ACTION_MEAN, ACTION_STD = np.linspace(1.0, -1.0, 8), np.linspace(0.2, 0.5, 8)
STATS = {"qpos_mean": QPOS_MEAN, "qpos_std": QPOS_STD, "action_mean": ACTION_MEAN, "action_std": ACTION_STD}


@pytest.fixture
def robot(golden_embodiment):
    """With the golden checkpoint's cameras, ``front`` and ``wrist``."""
    return golden_embodiment


def actions_of(checkpoint, golden) -> np.ndarray:
    """What the checkpoint does with the golden observations, in the units of the golden statistics."""
    pipeline, images = checkpoint.pipeline(), golden.arrays["in.image"].permute(0, 1, 3, 4, 2).numpy()
    proprioception = {"qpos": golden.arrays["in.qpos"].double().numpy() * QPOS_STD + QPOS_MEAN}
    by_role = {role: np.ascontiguousarray(images[:, camera]) for camera, role in enumerate(("front", "wrist"))}
    with torch.inference_mode():
        predicted = checkpoint.network().predict(pipeline.inputs(by_role, proprioception, torch.device("cpu")))
    return pipeline.actions(predicted, proprioception)


def expected_actions(golden) -> np.ndarray:
    return golden.arrays["out.action"].double().numpy() * ACTION_STD + ACTION_MEAN


# ---------------------------------------------------------------- tonyzhaozh/act


@pytest.fixture
def original(act_golden, tmp_path) -> Path:
    """A folder as imitate_episodes.py leaves it."""
    torch.save(act_golden.weights, tmp_path / "policy_best.ckpt")
    (tmp_path / "dataset_stats.pkl").write_bytes(pickle.dumps({**STATS, "example_qpos": np.zeros((5, 8), np.float32)}))
    return tmp_path / "policy_best.ckpt"


def test_an_original_checkpoint_gives_its_own_actions(original, act_golden, robot) -> None:
    checkpoint = read_original(original, robot, cameras=("front", "wrist"), heads=4)
    np.testing.assert_allclose(actions_of(checkpoint, act_golden), expected_actions(act_golden), atol=2e-5)


def test_cameras_in_another_order_are_another_policy(original, act_golden, robot) -> None:
    """One backbone for both cameras: their order is told by nothing but the caller."""
    checkpoint = read_original(original, robot, cameras=("wrist", "front"), heads=4)
    assert list(checkpoint.config.spec.cameras) == ["wrist", "front"]


def test_an_original_checkpoint_for_other_cameras_or_joints_is_refused(original, robot, embodiment, tmp_path) -> None:
    with pytest.raises(EmbodimentMismatch, match="needs the camera 'front'; 'fr3_sim' has 'scene' or 'wrist'"):
        read_original(original, embodiment, cameras=("front", "wrist"), heads=4)
    weights = torch.load(original, weights_only=True)
    weights["model.action_head.weight"] = torch.zeros(14, 64)
    torch.save(weights, original)
    with pytest.raises(EmbodimentMismatch, match=r"actions: .* has the 8 dimensions .*, it has 14"):
        read_original(original, robot, cameras=("front", "wrist"), heads=4)


class _Executes:
    """A pickle of this runs a command when it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self):
        return os.system, (f"touch {self._path}",)


def test_a_hostile_checkpoint_is_refused_and_not_executed(original, robot, tmp_path) -> None:
    torch.save({"model.action_head.weight": _Executes(tmp_path / "executed")}, original)
    with pytest.raises(CheckpointError, match="expected a file of weights and nothing else"):
        read_original(original, robot, cameras=("front", "wrist"))
    assert not (tmp_path / "executed").exists()


def test_a_truncated_original_checkpoint_is_refused(original, robot) -> None:
    original.write_bytes(original.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="expected a file of weights"):
        read_original(original, robot, cameras=("front", "wrist"))


def test_a_checkpoint_of_another_network_is_refused(original, robot) -> None:
    torch.save({"model.fc.weight": torch.zeros(2, 2)}, original)
    with pytest.raises(CheckpointError, match="expected the weights of ACT, found none for"):
        read_original(original, robot, cameras=("front", "wrist"))


# ---------------------------------------------------------------- its statistics


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", ">f8"])
def test_pickled_arrays_are_read_as_numpy_reads_them(protocol, dtype, tmp_path) -> None:
    data = {
        "vector": np.arange(6).astype(dtype),
        "matrix": np.arange(6).reshape(2, 3).astype(dtype),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3).astype(dtype)),
        "number": np.arange(6).astype(dtype)[3],
        "empty": np.zeros((0, 3), dtype),
    }
    path = tmp_path / "stats.pkl"
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    read = read_arrays(path)
    assert read.keys() == data.keys()
    for name, expected in data.items():
        np.testing.assert_array_equal(read[name], expected)
        assert read[name].dtype == np.asarray(expected).dtype


def test_a_hostile_pickle_is_refused_and_not_executed(tmp_path) -> None:
    path = tmp_path / "stats.pkl"
    path.write_bytes(pickle.dumps({**STATS, "evil": _Executes(tmp_path / "executed")}))
    with pytest.raises(CheckpointError, match=r"expected only numpy arrays of numbers, found the name '\w+.system'"):
        read_arrays(path)
    assert not (tmp_path / "executed").exists()


# its eight bytes would be taken for a pointer
FORGED_DTYPE = pickle.dumps({"action_mean": np.array([1.0])}, protocol=4).replace(b"f8", b"O8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"a": np.array([None], dtype=object)}), "found the dtype 'O8'"),
        (pickle.dumps({"a": np.zeros(2, dtype=[("x", "f8")])}), "found the dtype 'V8'"),
        (FORGED_DTYPE, "found the dtype 'O8'"),
        (pickle.dumps({"a": {"b": np.zeros(2)}}), "expected names with arrays, found 'a' with a dict"),
        (pickle.dumps([np.zeros(2)]), "expected a dictionary, found a list"),
        (pickle.dumps(STATS)[:-40], "expected a whole pickle of numpy arrays"),
        (b"", "expected a whole pickle of numpy arrays"),
        (b"not a pickle", "expected a whole pickle of numpy arrays"),
    ],
)
def test_what_is_no_dictionary_of_arrays_is_refused(content, message, tmp_path) -> None:
    path = tmp_path / "stats.pkl"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_arrays(path)
    assert message in str(caught.value)


def test_an_array_of_another_size_than_its_bytes_is_refused(tmp_path) -> None:
    path = tmp_path / "stats.pkl"
    whole = pickle.dumps({"a": np.zeros(3)}, protocol=4)
    path.write_bytes(whole.replace(b"K\x03\x85", b"K\x09\x85"))
    with pytest.raises(CheckpointError, match=r"found 24 bytes for an array of the shape \(9,\)"):
        read_arrays(path)


@pytest.mark.parametrize("key", ["qpos_std", "action_mean"])
def test_statistics_that_are_missing_or_unusable_are_refused(key, original, robot) -> None:
    stats = original.parent / "dataset_stats.pkl"
    stats.write_bytes(pickle.dumps({name: value for name, value in STATS.items() if name != key}))
    with pytest.raises(CheckpointError, match=f"expected .*'{key}'.* found"):
        read_original(original, robot, cameras=("front", "wrist"))
    stats.write_bytes(pickle.dumps({**STATS, key: np.full(8, np.nan)}))
    with pytest.raises(CheckpointError, match="expected finite means and stds"):
        read_original(original, robot, cameras=("front", "wrist"))


# ---------------------------------------------------------------- LeRobot


@pytest.fixture
def lerobot(act_golden, tmp_path) -> Path:
    """A policy folder without statistics."""
    folder = tmp_path / "pretrained_model"
    folder.mkdir()
    description = act_golden.description["lerobot"]
    (folder / "config.json").write_text(json.dumps(description["config"]))
    save_file(lerobot_weights(act_golden), folder / "model.safetensors")
    return folder


def lerobot_weights(golden) -> dict[str, torch.Tensor]:
    names = golden.description["lerobot"]["key_from_original"]
    return {name: golden.weights[original].clone() for name, original in names.items() if original in golden.weights}


def stats_tensors() -> dict[str, torch.Tensor]:
    images = {
        f"observation.images.{role}.{statistic}": torch.tensor(values)[:, None, None]
        for role in ("front", "wrist")
        for statistic, values in (("mean", [0.485, 0.456, 0.406]), ("std", [0.229, 0.224, 0.225]))
    }
    vectors = {
        "observation.state.mean": QPOS_MEAN,
        "observation.state.std": QPOS_STD,
        "action.mean": ACTION_MEAN,
        "action.std": ACTION_STD,
    }
    return {**images, **{name: torch.from_numpy(values).float() for name, values in vectors.items()}}


def add_processors(folder: Path) -> None:
    for which, step in (("preprocessor", "normalizer_processor"), ("postprocessor", "unnormalizer_processor")):
        state_file = f"policy_{which}_step_1_{step}.safetensors"
        steps = [{"registry_name": "device_processor", "config": {}}, {"registry_name": step, "state_file": state_file}]
        (folder / f"policy_{which}.json").write_text(json.dumps({"name": which, "steps": steps}))
        save_file(stats_tensors(), folder / state_file)


def add_legacy_buffers(folder: Path, golden) -> None:
    buffers = {}
    for name, tensor in stats_tensors().items():
        feature, _, statistic = name.rpartition(".")
        group = "unnormalize_outputs" if feature == "action" else "normalize_inputs"
        buffers[f"{group}.buffer_{feature.replace('.', '_')}.{statistic}"] = tensor
    save_file({**lerobot_weights(golden), **buffers}, folder / "model.safetensors")


@pytest.mark.parametrize("where", ["processors", "buffers"])
def test_a_lerobot_policy_gives_its_own_actions(where, lerobot, act_golden, robot) -> None:
    if where == "processors":
        add_processors(lerobot)
    else:
        add_legacy_buffers(lerobot, act_golden)
    checkpoint = read_lerobot_act(lerobot, robot)
    np.testing.assert_allclose(actions_of(checkpoint, act_golden), expected_actions(act_golden), atol=2e-5)


def test_image_features_are_given_roles(lerobot, act_golden, robot) -> None:
    add_processors(lerobot)
    swapped = {"observation.images.front": "wrist", "observation.images.wrist": "front"}
    checkpoint = read_lerobot_act(lerobot, robot, cameras=swapped)
    assert list(checkpoint.config.spec.cameras) == ["wrist", "front"]


def test_a_lerobot_policy_without_statistics_is_refused(lerobot, robot) -> None:
    with pytest.raises(
        CheckpointError, match=r"expected mean and std of 'observation.images.front' .* found statistics of nothing"
    ):
        read_lerobot_act(lerobot, robot)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("type", "diffusion", "type: expected 'act', found 'diffusion'"),
        ("chunk_size", "ten", "chunk_size: expected int, found 'ten'"),
        ("vision_backbone", "resnet50", "vision_backbone: expected 'resnet18', found 'resnet50'"),
        ("replace_final_stride_with_dilation", True, "replace_final_stride_with_dilation: expected false"),
        ("n_obs_steps", 2, "n_obs_steps: expected 1, found 2"),
        ("feedforward_activation", "glu", "activation: expected 'relu' or 'gelu', found 'glu'"),
        (
            "normalization_mapping",
            {"VISUAL": "MIN_MAX"},
            "normalization_mapping.VISUAL: expected 'MEAN_STD' or 'IDENTITY'",
        ),
        ("input_features", {}, "expected at least one image"),
        (
            "output_features",
            {"action": {"type": "ACTION", "shape": 8}},
            "output_features.action: expected type and shape",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(key, value, message, lerobot, robot) -> None:
    add_processors(lerobot)
    config = json.loads((lerobot / "config.json").read_text())
    (lerobot / "config.json").write_text(json.dumps({**config, key: value}))
    with pytest.raises(CheckpointError) as caught:
        read_lerobot_act(lerobot, robot)
    assert message in str(caught.value)


def test_a_lerobot_policy_for_another_robot_is_refused(lerobot, robot, embodiment) -> None:
    add_processors(lerobot)
    with pytest.raises(EmbodimentMismatch, match="needs the camera 'front'"):
        read_lerobot_act(lerobot, embodiment)
    config = json.loads((lerobot / "config.json").read_text())
    config["input_features"]["observation.state"]["shape"] = [14]
    (lerobot / "config.json").write_text(json.dumps(config))
    with pytest.raises(EmbodimentMismatch, match=r"state: .* has the 8 dimensions .*, it has 14"):
        read_lerobot_act(lerobot, robot)


def test_a_processor_does_not_lead_out_of_its_folder(lerobot, robot, tmp_path) -> None:
    add_processors(lerobot)
    outside = tmp_path / "outside.safetensors"
    save_file(stats_tensors(), outside)
    for which in ("preprocessor", "postprocessor"):
        path = lerobot / f"policy_{which}.json"
        data = json.loads(path.read_text())
        data["steps"][1]["state_file"] = "../outside.safetensors"
        path.write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match=r"pretrained_model/outside.safetensors: cannot be read"):
        read_lerobot_act(lerobot, robot)
