"""Any container is recognised, read as a whole, and converted; what it does not say is asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from loading_checks import require_loaded_as_converted
from safetensors.torch import load_file, save_file

import vla_policies
from vla_core.errors import CheckpointError, ConfigError, EmbodimentMismatch
from vla_policies.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from vla_policies.containers import Told, container_of, convert, read_any, weights_file
from vla_policies.errors import MissingInformation


@pytest.fixture
def told(robot) -> Told:
    """Everything that a checkpoint of tonyzhaozh/act does not say."""
    return Told(robot, ("front", "wrist"), heads=4, name="converted")


@pytest.fixture
def ours(checkpoint, tmp_path) -> Path:
    write_checkpoint(tmp_path / "ours", checkpoint)
    return tmp_path / "ours"


def test_each_container_is_recognised(ours, lerobot, original) -> None:
    found = [container_of(path) for path in (ours, lerobot, original, original.parent)]
    assert found == ["vla", "lerobot", "original", "original"]


def test_what_is_none_of_them_is_refused(tmp_path) -> None:
    (tmp_path / "notes.txt").touch()
    for path, found in (("nowhere", "nothing"), ("notes.txt", "a file"), (".", r"\['notes.txt'\]")):
        with pytest.raises(CheckpointError, match=rf"expected a folder with config.yaml \(vla\), .* found {found}$"):
            container_of(tmp_path / path)


def test_a_folder_of_several_original_checkpoints_means_the_best(original) -> None:
    (original.parent / "policy_last.ckpt").write_bytes(b"")
    assert weights_file(original.parent) == original
    original.rename(original.with_name("policy_epoch_7_seed_0.ckpt"))
    with pytest.raises(
        CheckpointError, match=r"expected the path of one of them, of \['policy_epoch_7_seed_0.ckpt', 'p"
    ):
        weights_file(original.parent)


def test_all_that_is_missing_is_asked_for_at_once(original, lerobot, robot) -> None:
    with pytest.raises(MissingInformation) as caught:
        read_any(original)
    assert all(option in str(caught.value) for option in ("--embodiment (", "--camera (", "--heads (its nheads; 8 as"))
    with pytest.raises(MissingInformation, match=r"expected --camera \(once for each .*\), --heads \([^)]*\)$"):
        read_any(original, Told(robot))
    with pytest.raises(MissingInformation, match=r"checkpoint of LeRobot .* expected --embodiment \([^)]*\)$"):
        read_any(lerobot)


def test_what_a_container_says_itself_is_not_to_be_told(ours, lerobot, told) -> None:
    with pytest.raises(CheckpointError, match="names its cameras itself; expected no --camera, found"):
        read_any(ours, Told(cameras=("front",)))
    with pytest.raises(CheckpointError, match="says its heads itself; expected no --heads, found 4"):
        read_any(lerobot, told)
    with pytest.raises(CheckpointError, match="a policy of LeRobot sees RGB; expected no --bgr"):
        read_any(lerobot, Told(told.embodiment, bgr=True))


@pytest.mark.parametrize("which", ["original", "lerobot", "lerobot_of_old"])
def test_a_converted_checkpoint_gives_the_references_actions(
    which, request, told, tmp_path, robot, require_golden_actions
) -> None:
    source = request.getfixturevalue(which)
    known = told if which == "original" else dataclasses.replace(told, cameras=(), heads=None)
    written = convert(source, tmp_path / "made", told=known)
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["config.yaml", "model.safetensors"]
    made = read_checkpoint(tmp_path / "made")
    assert (made.config, made.config.name, made.config.provenance.source) == (written.config, "converted", str(source))
    require_golden_actions(made)
    assert vla_policies.load(tmp_path / "made", embodiment=robot).policy_id.startswith("converted@")


@pytest.mark.parametrize("which", ["original", "lerobot"])
def test_it_is_loaded_as_it_is(which, request, told, tmp_path, observation) -> None:
    images = {role: observation.images[role.replace("front", "scene")] for role in ("front", "wrist")}
    seen = dataclasses.replace(observation, images=images)
    knows = told if which == "original" else dataclasses.replace(told, cameras=(), heads=None)
    title = "tonyzhaozh/act" if which == "original" else "LeRobot"
    require_loaded_as_converted(request.getfixturevalue(which), knows, seen, tmp_path, title)


def test_what_it_is_told_by_name_when_it_is_loaded(original, robot) -> None:
    policy = vla_policies.load(original, embodiment=robot, told={"cameras": ["front", "wrist"], "heads": 4})
    assert policy.policy_id.startswith("policy_best@")
    with pytest.raises(MissingInformation, match=r"expected --heads \(its nheads"):
        vla_policies.load(original, embodiment=robot, told={"cameras": ["front", "wrist"]})
    with pytest.raises(CheckpointError, match=r"expected no --tell for a policy of tonyzhaozh.act, found .'colour'"):
        vla_policies.load(original, embodiment=robot, told={"cameras": ["front", "wrist"], "heads": 4, "colour": "red"})


def test_what_its_code_has_around_the_network_is_told_as_a_list(lerobot, robot, observation, tmp_path) -> None:
    gripper = {"kind": "gripper_range", "index": 7, "closed": 0.0, "open": 0.04}
    told = {"transforms": [gripper, {"kind": "signs", "signs": [-1] * 7 + [1]}], "cameras": ("front", "wrist")}
    images = {role: observation.images[role.replace("front", "scene")] for role in ("front", "wrist")}
    zero = {group: np.zeros(8) for group in observation.proprioception}
    seen = dataclasses.replace(observation, images=images, proprioception=zero)
    plain = vla_policies.load(lerobot, embodiment=robot).infer(seen).actions
    policy = vla_policies.load(lerobot, embodiment=robot, told=told)
    np.testing.assert_allclose(policy.infer(seen).actions, plain * [*[-1] * 7, 0.04], atol=1e-9)
    knows = Told.of(robot, told, "told")
    convert(lerobot, tmp_path / "made", told=knows)
    made = vla_policies.load(tmp_path / "made")
    np.testing.assert_array_equal(made.infer(seen).actions, policy.infer(seen).actions)
    shown = vla_policies.describe(tmp_path / "made")["transforms"]
    assert [transform["kind"] for transform in shown] == ["gripper_range", "signs"]
    with pytest.raises(CheckpointError, match=r"spec\.transforms: signs: expected 2 dimensions, found 8"):
        read_any(lerobot, Told(robot, details={"transforms": [{"kind": "signs", "signs": [1, 1]}]}))
    with pytest.raises(ConfigError, match="told: transforms"):
        read_any(lerobot, Told(robot, details={"transforms": [{"kind": "magic"}]}))


def test_weights_that_do_not_fit_are_used_only_if_that_is_allowed_by_name(
    ours, checkpoint, observation, tmp_path
) -> None:
    weights = load_file(ours / "model.safetensors")
    del weights["head.projection.bias"]
    save_file({**weights, "critic.value": torch.ones(3)}, ours / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"missing: head.projection.bias\n  unexpected: critic.value$"):
        vla_policies.load(ours)
    with pytest.raises(CheckpointError, match=r"\n  unexpected: critic.value$"):
        vla_policies.load(ours, told={"allow_missing": ["head"], "allow_unexpected": ["actor.**"]})
    told = Told(allow_missing=("head.**",), allow_unexpected=("critic",))
    read = read_any(ours, told)
    assert (read.untrained, read.left_out) == (("head.projection.bias",), ("critic.value",))
    assert read.weights.keys() == checkpoint.weights.keys()
    chunks = [vla_policies.load(ours, told=told).infer(observation).actions for _ in range(2)]
    assert (chunks[0] == chunks[1]).all()


def test_nothing_is_overwritten(original, told, tmp_path) -> None:
    out = tmp_path / "made"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(
        CheckpointError, match="made: expected a folder that is not there yet, found one; nothing is over"
    ):
        convert(original, out, told=told)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    (out / "notes.txt").unlink()
    convert(original, out, told=told)
    with pytest.raises(CheckpointError, match="nothing is overwritten"):
        convert(original, out, told=told)


def test_an_empty_folder_that_one_is_in_is_filled(original, told, tmp_path, monkeypatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    convert(original, Path("."), told=told)
    assert (tmp_path / "here" / "config.yaml").is_file()


def test_nothing_is_left_of_a_conversion_that_failed(ours, tmp_path) -> None:
    with pytest.raises(CheckpointError, match="cannot be written for LeRobot's ACT"):
        convert(ours, tmp_path / "deep" / "made", to="lerobot")
    assert not (tmp_path / "deep" / "made").exists()
    assert not list((tmp_path / "deep").iterdir())


def test_a_folder_that_cannot_be_made_is_named(ours, original, told, tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"file/made: cannot be written \(Not a directory\)"):
        convert(original, tmp_path / "file" / "made", told=told)


def test_what_is_ours_already_is_not_converted_to_ours(ours, tmp_path) -> None:
    with pytest.raises(CheckpointError, match="is a checkpoint of vla already; expected another container"):
        convert(ours, tmp_path / "made")


def test_another_robot_is_refused_for_every_container(ours, lerobot, original, told, embodiment) -> None:
    slower = dataclasses.replace(embodiment, steps=dataclasses.replace(embodiment.steps, rate_hz=10.0))
    with pytest.raises(EmbodimentMismatch, match=r"step rate \[Hz\]: it has 30"):
        read_any(ours, Told(slower))
    with pytest.raises(
        EmbodimentMismatch, match=r"needs the camera 'front' for 'observation.images.front'; 'fr3_sim' has"
    ):
        read_any(lerobot, Told(embodiment))
    with pytest.raises(EmbodimentMismatch, match="needs the camera 'front'; 'fr3_sim' has 'scene' or 'wrist'"):
        read_any(original, dataclasses.replace(told, embodiment=embodiment))


@pytest.mark.parametrize("which", ["ours", "lerobot"])
@pytest.mark.parametrize("left", [0, 7, 400, -1])
def test_truncated_weights_are_refused(which, left, request, told) -> None:
    folder = request.getfixturevalue(which)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:left])
    known = Told(told.embodiment) if which == "lerobot" else Told()
    with pytest.raises(CheckpointError, match=r"model.safetensors: expected a whole safetensors file, found \d+ bytes"):
        read_any(folder, known)


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(lerobot, told, tmp_path) -> None:
    path = lerobot / "model.safetensors"
    weights = load_file(path)
    weights["model.decoder_pos_embed.weight"] = torch.zeros(9, 64)
    del weights["model.decoder.norm.bias"]
    save_file(weights, path)
    with pytest.raises(CheckpointError) as caught:
        convert(lerobot, tmp_path / "made", told=Told(told.embodiment))
    message = str(caught.value)
    assert message.startswith(f"{lerobot}: the weights do not fit the network")
    assert "missing: decoder.norm.bias" in message
    assert "query_position: expected (10, 64), found (9, 64)" in message
    assert not (tmp_path / "made").exists()


def test_statistics_of_another_size_are_refused(lerobot, told) -> None:
    for path in lerobot.glob("policy_*.safetensors"):
        save_file({**load_file(path), "action.mean": torch.zeros(7), "action.std": torch.ones(7)}, path)
    with pytest.raises(CheckpointError, match=r"normalisation.action: expected 8 values, found 7"):
        read_any(lerobot, Told(told.embodiment))


def test_a_description_of_any_container_says_the_same(ours, original, lerobot, told, tmp_path) -> None:
    from_original = vla_policies.describe(original, told)
    from_lerobot = vla_policies.describe(lerobot, Told(told.embodiment))
    convert(original, tmp_path / "made", told=told)
    from_ours = vla_policies.describe(tmp_path / "made")
    assert [found["container"] for found in (from_original, from_lerobot, from_ours)] == ["original", "lerobot", "vla"]
    for key in ("family", "head", "cameras", "proprioception", "actions", "action_horizon", "embodiment"):
        assert from_original[key] == from_lerobot[key] == from_ours[key]
    assert from_original["weights_bytes"] == original.stat().st_size
    assert from_original["parameters"] == from_ours["parameters"] == from_lerobot["parameters"] + 65  # is_pad_head


def test_the_parameters_are_those_that_training_changes(checkpoint: Checkpoint, ours) -> None:
    parameters = sum(parameter.numel() for parameter in checkpoint.network().parameters())
    assert vla_policies.describe(ours)["parameters"] == parameters
