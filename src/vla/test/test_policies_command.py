"""``vla policies``: what it shows, what it converts, and one clear message with an exit code for what it cannot."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from vla import cli
from vla.paths import named_config
from vla_core.config import to_mapping
from vla_core.embodiment import load_embodiment
from vla_policies.batch import NetworkShape
from vla_policies.checkpoint import Checkpoint, PolicyConfig, Provenance, read_checkpoint, write_checkpoint
from vla_policies.families import build_network
from vla_policies.normalisation import IMAGENET, Normalisation, NormStats
from vla_policies.spec import ImageSize, PolicySpec

NETWORK = {"hidden_dim": 16, "feedforward_dim": 16, "heads": 2, "encoder_layers": 1, "style_encoder_layers": 1}
FOREIGN = ["--embodiment", "fr3_sim", "--camera", "scene", "--camera", "wrist", "--heads", "2"]


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Path:
    """A checkpoint that LeRobot and the original code could have made too."""
    embodiment = load_embodiment(named_config("embodiments", "fr3_sim"))
    stats = Normalisation("act_mean_std", NormStats((0.1,) * 8, (0.5,) * 7 + (0.02,)))
    config = PolicyConfig(
        schema="vla/policy/1",
        name="reach",
        family="act",
        network=NETWORK,
        spec=PolicySpec({role: ImageSize(128, 96) for role in embodiment.cameras}, ("qpos",), action_horizon=6),
        normalisation={**dict.fromkeys(embodiment.cameras, IMAGENET), "qpos": stats, "action": stats},
        provenance=Provenance("2026-01-01T00:00:00+00:00", "episodes/[reach]", 5, 100, 40, 7, "vla train --out reach"),
        embodiment=embodiment,
    )
    network = build_network("act", NETWORK, NetworkShape(2, 8, 8, 6), "test")
    folder = tmp_path_factory.mktemp("policies") / "reach"
    write_checkpoint(folder, Checkpoint(config, network.state_dict()))
    return folder


@pytest.fixture
def policies(monkeypatch, capsys):
    """Runs ``vla policies`` with arguments; gives the exit code and what was written to stdout and stderr."""
    monkeypatch.delenv(cli.DEBUG_VARIABLE, raising=False)

    def run(*arguments: object, columns: int = 120) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "argv", ["vla", "policies", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capsys.readouterr()
        return ended.value.code or 0, shown.out, shown.err

    return run


@pytest.fixture
def original(ours, policies, tmp_path) -> Path:
    assert policies("convert", ours, "--to", "original", "--out", tmp_path / "original")[0] == 0
    return tmp_path / "original" / "policy_best.ckpt"


@pytest.fixture
def lerobot(ours, policies, tmp_path) -> Path:
    assert policies("convert", ours, "--to", "lerobot", "--out", tmp_path / "lerobot")[0] == 0
    return tmp_path / "lerobot"


@pytest.mark.parametrize("columns", [80, 120])
def test_list_shows_every_preset(columns, policies):
    code, out, _ = policies("list", columns=columns)
    assert code == 0
    assert all(len(line) <= columns for line in out.splitlines())
    assert "…" not in out
    for preset in named_config("policies", "act").parent.glob("*.yaml"):
        assert preset.stem in out
    assert {line.split()[0] for line in out.splitlines() if " guided" in line} == {"groot", "pi0", "pi05"}


@pytest.mark.parametrize("columns", [80, 120])
def test_info_shows_what_goes_in_and_what_comes_out(columns, ours, policies):
    code, out, _ = policies("info", ours, columns=columns)
    assert code == 0
    assert all(len(line) <= columns for line in out.splitlines())
    assert "…" not in out
    text = " ".join(out.split())
    weights = (ours / "model.safetensors").stat().st_size
    for shown in (
        "family act, action head l1_regression",
        "backbone resnet18",
        f"parameters, {weights / 1e6:.1f} MB in files, {weights / 1e6:.1f} MB in memory",
        "robot fr3_sim",
        "actions joint_position, absolute, 8 dimensions",
        "horizon 6 actions at 30 Hz, 0.20 s",
        "from episodes/[reach]",
        "trained 40 steps on 5 episodes of 100 steps, seed 7",
        "command vla train --out reach",
        "scene image 1 128x96 act_mean_std 0.485 0.456 0.406 0.229 0.224 0.225",
        "qpos fr3_joint1 rad act_mean_std 0.1000 0.5000",
        "gripper m 0.1000 0.0200",
    ):
        assert shown in text


def test_info_shows_the_statistics_of_every_scheme(ours, policies, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(ours, changed)
    data = yaml.safe_load((changed / "config.yaml").read_text())
    bounds = {"min": [-0.25] * 8, "max": [0.75] * 8, "mask": [True] * 7 + [False]}
    data["normalisation"]["action"] = {"scheme": "oft_bounds", "stats": bounds}
    data["normalisation"]["scene"] = {"scheme": "identity"}
    (changed / "config.yaml").write_text(yaml.safe_dump(data))
    code, out, _ = policies("info", changed)
    assert code == 0
    text = " ".join(out.split())
    for shown in (
        "normalisation mean/min std/max",
        "qpos fr3_joint1 rad act_mean_std 0.1000 0.5000",
        "action fr3_joint1 rad oft_bounds -0.2500 0.7500",
        "gripper m identity",
        "scene image 1 128x96 identity",
    ):
        assert shown in text


def test_info_writes_json(ours, policies, tmp_path):
    assert policies("info", ours, "--json", tmp_path / "out" / "info.json")[0] == 0
    described = json.loads((tmp_path / "out" / "info.json").read_text())
    parameters = build_network("act", NETWORK, NetworkShape(2, 8, 8, 6), "test").parameters()
    assert described["parameters"] == sum(parameter.numel() for parameter in parameters)
    assert described["action_names"][-1] == "gripper"
    assert described["action_units"] == ["rad"] * 7 + ["m"]
    assert described["normalisation"]["action"]["stats"]["std"] == [0.5] * 7 + [0.02]
    assert described["container"] == "vla"


@pytest.mark.parametrize("columns", [80, 120])
def test_info_says_whether_a_robot_fits(columns, ours, policies):
    code, out, _ = policies("info", ours, "--embodiment", "fr3_sim", columns=columns)
    assert code == 0
    assert all(len(line) <= columns for line in out.splitlines())
    text = " ".join(out.split())
    cameras = load_embodiment(named_config("embodiments", "fr3_sim")).cameras
    assert "fr3_sim: fits" in text
    assert cameras["scene"].topic in text
    if columns == 120:
        size = f"{cameras['wrist'].width}x{cameras['wrist'].height}"
        assert f"camera wrist as image 2 {cameras['wrist'].topic} {size}" in text


def test_info_says_in_what_a_robot_differs(ours, policies, tmp_path):
    robot = to_mapping(load_embodiment(named_config("embodiments", "fr3_sim")))
    robot["steps"]["rate_hz"] = 10.0
    slower = tmp_path / "slower.yaml"
    slower.write_text(yaml.safe_dump(robot))
    code, out, error = policies("info", ours, "--embodiment", slower)
    assert code == 1
    assert "does not fit" in out
    assert "step rate [Hz]: it has 30" in " ".join(out.split())
    assert error.startswith(f"vla: {ours}: does not fit 'fr3_sim': step rate [Hz]: it has 30")


def test_weights_that_do_not_fit_are_named_and_may_be_allowed(ours, policies, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(ours, changed)
    weights = load_file(changed / "model.safetensors")
    del weights["head.projection.bias"]
    save_file({**weights, "critic.value": torch.ones(3)}, changed / "model.safetensors")
    code, _, error = policies("info", changed)
    assert (code, "missing: head.projection.bias\n  unexpected: critic.value" in error) == (1, True)
    allowed = ["--allow-missing", "head.**", "--allow-unexpected", "critic"]
    code, out, _ = policies("info", changed, *allowed, "--json", tmp_path / "info.json")
    assert code == 0
    text = " ".join(out.split())
    assert "missing head.projection.bias" in text
    assert "unexpected critic.value" in text
    described = json.loads((tmp_path / "info.json").read_text())
    assert (described["untrained_weights"], described["weights_left_out"]) == (
        ["head.projection.bias"],
        ["critic.value"],
    )


def test_the_license_goes_with_the_weights(lerobot, policies, tmp_path):
    (lerobot / "README.md").write_text("---\ntags: [robotics]\nlicense: apache-2.0\n---\n# A model\n")
    (lerobot / "LICENSE").write_text("the text")
    out = tmp_path / "made"
    code, shown, _ = policies("convert", lerobot, "--out", out, "--embodiment", "fr3_sim")
    assert (code, "license apache-2.0" in " ".join(shown.split())) == (0, True)
    assert read_checkpoint(out).config.provenance.license == "apache-2.0"
    assert (out / "LICENSE").read_text() == "the text"


def test_info_takes_every_container(lerobot, original, policies):
    code, out, _ = policies("info", lerobot, "--embodiment", "fr3_sim")
    assert code == 0
    assert "lerobot_mean_std" in out
    code, out, _ = policies("info", original.parent, *FOREIGN)
    assert code == 0
    assert "pad_head yes" in " ".join(out.split())


def test_convert_makes_a_checkpoint_and_shows_it(lerobot, original, ours, policies, tmp_path):
    expected = read_checkpoint(ours).weights
    for source, given in ((lerobot, ["--embodiment", "fr3_sim"]), (original, FOREIGN)):
        out = tmp_path / f"from_{source.name}"
        code, shown, _ = policies("convert", source, "--out", out, *given)
        assert code == 0
        assert f"made {out}: config.yaml, model.safetensors" in shown
        assert f"{out.name}@" in shown
        weights = load_file(out / "model.safetensors")
        assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


def test_a_policy_can_be_given_a_name_and_an_embodiment_file(lerobot, policies, tmp_path):
    file = named_config("embodiments", "fr3_sim")
    code, shown, _ = policies(
        "convert", lerobot, "--out", tmp_path / "made", "--embodiment", file, "--name", "mine", "--camera", "wrist",
        "--camera", "scene",
    )  # fmt: skip
    assert code == 0
    assert "mine@" in shown
    assert list(read_checkpoint(tmp_path / "made").config.spec.cameras) == ["wrist", "scene"]


def test_converting_to_the_original_says_what_its_code_must_be_told(ours, policies, tmp_path):
    _, shown, _ = policies("convert", ours, "--to", "original", "--out", tmp_path / "made")
    assert "made" in shown
    assert "dataset_stats.pkl, policy_best.ckpt" in shown
    assert "camera_names ['scene', 'wrist'], state_dim 8, chunk_size 6, hidden_dim 16" in " ".join(shown.split())


def test_all_that_is_missing_is_asked_for_in_one_message(original, lerobot, policies, tmp_path):
    for command in (["info"], ["convert", "--out", tmp_path / "made"]):
        code, _, error = policies(*command, original)
        assert code == 2
        assert error.startswith(
            f"vla: {original}: a checkpoint of tonyzhaozh/act does not say everything; expected --embod"
        )
        assert "--camera (" in error
        assert "--heads (its nheads; 8 as published)" in error
    code, _, error = policies("info", lerobot)
    assert code == 2
    assert error.endswith("expected --embodiment (the robot that it was trained with)\n")
    assert not (tmp_path / "made").exists()


def test_an_existing_folder_is_not_overwritten(ours, lerobot, policies, tmp_path):
    before = (lerobot / "config.json").read_bytes()
    code, _, error = policies("convert", ours, "--to", "original", "--out", lerobot)
    assert code == 1
    assert error == f"vla: {lerobot}: expected a folder that is not there yet, found one; nothing is overwritten\n"
    assert (lerobot / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--embodiment", "fr4"], "embodiments: expected 'aloha', 'fr3', 'fr3_sim', "),
        (
            ["--embodiment", "fr3", "--camera", "top", "--camera", "wrist"],
            "needs the camera 'top' for 'observation.images.s",
        ),
        (["--embodiment", "fr3", "--camera", "wrist"], "expected a camera role for each of"),
        (["--embodiment", "fr3", "--heads", "2"], "says its heads itself; expected no --heads, found 2"),
        (
            ["--embodiment", "fr3", "--tell", "head=joint", "--tell", "steps=3"],
            "expected no --tell for a policy of LeRobot, found {'head': 'joint', 'steps': 3}",
        ),
    ],
)
def test_a_wrong_robot_or_camera_is_named(given, message, lerobot, policies, tmp_path):
    code, _, error = policies("convert", lerobot, "--out", tmp_path / "made", *given)
    assert code == 1
    assert error.startswith("vla: ")
    assert message in error
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("told", ["head", "head=[joint"])
def test_what_is_told_is_a_key_and_a_value(told, lerobot, policies, tmp_path):
    code, _, error = policies("convert", lerobot, "--out", tmp_path / "made", "--tell", told)
    assert code == 2
    assert f"expected KEY=VALUE, found '{told}'" in error


def test_another_number_of_joints_is_refused(original, policies, tmp_path):
    weights = torch.load(original, weights_only=True)
    weights["model.input_proj_robot_state.weight"] = torch.zeros(16, 14)
    torch.save(weights, original)
    code, _, error = policies("convert", original, "--out", tmp_path / "made", *FOREIGN)
    assert code == 1
    assert "state: 'fr3_sim' has the 8 dimensions ['fr3_joint1', " in error
    assert error.endswith("it has 14\n")


class Executes:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("which", ["policy_best.ckpt", "dataset_stats.pkl"])
def test_nothing_in_a_checkpoint_is_executed(which, original, policies, tmp_path):
    hostile = {"model.action_head.weight": Executes(tmp_path / "executed")}
    if which == "policy_best.ckpt":
        torch.save(hostile, original)
    else:
        (original.parent / which).write_bytes(pickle.dumps(hostile))
    code, _, error = policies("convert", original, "--out", tmp_path / "made", *FOREIGN)
    assert code == 1
    assert error.startswith(f"vla: {original.parent / which}: expected ")
    assert error.count("\n") == 1
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "made").exists()


def test_truncated_and_missing_files_are_named(lerobot, original, policies, tmp_path):
    weights = lerobot / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    code, _, error = policies("convert", lerobot, "--out", tmp_path / "made", "--embodiment", "fr3_sim")
    assert (code, "model.safetensors: expected a whole safetensors file, found 1000 bytes" in error) == (1, True)
    (original.parent / "dataset_stats.pkl").unlink()
    code, _, error = policies("convert", original, "--out", tmp_path / "made", *FOREIGN)
    assert (code, "dataset_stats.pkl: cannot be read (No such file or directory)" in error) == (1, True)
    code, _, error = policies("info", tmp_path)
    assert (code, "expected a folder with config.yaml (vla)" in error) == (1, True)
