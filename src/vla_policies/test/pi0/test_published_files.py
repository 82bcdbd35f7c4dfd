"""Checkpoints of openpi and of LeRobot: what is in them is what acts, and what does not fit is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loading_checks import require_loaded_as_converted
from pi0_checkpoints import ROLES, STATS, lerobot_config, write_lerobot, write_openpi, write_stats
from sentencepiece_files import write_tokenizer

from vla_core.errors import CheckpointError, EmbodimentMismatch
from vla_policies.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from vla_policies.containers import Told, container_of, convert, read_any
from vla_policies.description import describe
from vla_policies.errors import MissingInformation
from vla_policies.heads.flow_matching import euler_times
from vla_policies.pi0.lerobot import read_lerobot_pi0
from vla_policies.pi0.openpi import is_openpi, read_openpi
from vla_policies.pi0.told import Pi0Told

TOWERS = "paligemma_with_expert"
TABLE = f"{TOWERS}.paligemma.model.language_model.embed_tokens.weight"
HEAD = f"{TOWERS}.paligemma.lm_head.weight"


@pytest.fixture
def told(tmp_path) -> Pi0Told:
    tokenizer = write_tokenizer(tmp_path / "paligemma_tokenizer.model")
    return Pi0Told(tokenizer, "absolute", state_input="text", vision_heads=4)


@pytest.fixture
def openpi(variant, tmp_path) -> Path:
    return write_openpi(tmp_path / "openpi", {**variant.golden.weights})


@pytest.fixture
def lerobot(variant, tmp_path) -> Path:
    return write_lerobot(tmp_path / "lerobot", variant.name, variant.golden.weights)


@torch.no_grad()
def require_golden_actions(checkpoint: Checkpoint, variant: Any) -> None:
    model = checkpoint.network().model
    prefix = model.encode(*variant.observation)
    actions = model.sample(variant.input("noise"), euler_times(10), variant.state, prefix)
    torch.testing.assert_close(actions, variant.out("actions"), atol=2e-5, rtol=0.0)


def test_openpis_checkpoint(variant, openpi, embodiment, told) -> None:
    assert is_openpi(openpi)
    checkpoint = read_openpi(openpi, embodiment, ROLES, told)
    require_golden_actions(checkpoint, variant)
    config = checkpoint.config
    assert (config.family, config.spec.action_horizon, list(config.spec.cameras)) == (variant.name, 6, list(ROLES))
    scheme = "openpi_quantiles" if variant.name == "pi05" else "openpi_mean_std"
    assert config.normalisation["action"].scheme == config.normalisation["qpos"].scheme == scheme
    assert config.normalisation["action"].stats.q99 == tuple(STATS["actions"]["q99"][:8])
    np.testing.assert_allclose(config.normalisation["scene"].forward(np.array([0.0, 0.5, 1.0])), [-1.0, 0.0, 1.0])
    assert config.network["sampling_steps"] == 10
    assert config.network["state_input"] == ("text" if variant.name == "pi05" else "token")


def test_lerobots_checkpoint(variant, lerobot, embodiment, told) -> None:
    assert not is_openpi(lerobot)
    checkpoint = read_lerobot_pi0(lerobot, embodiment, told=told)
    require_golden_actions(checkpoint, variant)
    config = checkpoint.config
    assert (config.family, list(config.spec.cameras)) == (variant.name, list(ROLES))
    scheme = "lerobot_quantiles" if variant.name == "pi05" else "lerobot_mean_std"
    assert config.normalisation["action"].scheme == scheme
    assert (config.network["accumulated_times"], config.network["antialias"]) == (False, False)


@pytest.mark.parametrize("container", ["openpi", "lerobot"])
def test_it_acts_and_comes_back_from_our_own_folder(
    container, variant, openpi, lerobot, embodiment, observation, told, tmp_path
) -> None:
    read: Callable[..., Checkpoint] = read_openpi if container == "openpi" else read_lerobot_pi0
    folder = openpi if container == "openpi" else lerobot
    checkpoint = read(folder, embodiment, ROLES, told)
    write_checkpoint(tmp_path / "ours", checkpoint)
    chunks = [actions_of(found, observation) for found in (checkpoint, read_checkpoint(tmp_path / "ours"))]
    assert chunks[0].shape == (1, 6, 8)
    np.testing.assert_array_equal(*chunks)


@torch.no_grad()
def actions_of(checkpoint: Checkpoint, observation: Any) -> np.ndarray:
    pipeline = checkpoint.pipeline()
    qpos = {"qpos": observation.proprioception["qpos"][None]}
    images = {role: observation.images[role][None] for role in pipeline.spec.cameras}
    inputs = pipeline.inputs(images, qpos, torch.device("cpu"))
    return pipeline.actions(checkpoint.network().predict(inputs), qpos)


def test_relative_actions_but_for_the_gripper(variant, tmp_path, embodiment, told) -> None:
    names = [f"motor_{index}" for index in range(7)] + ["main_Gripper"]
    relative = {"relative": True, "action_feature_names": names, "relative_exclude_joints": ["gripper"]}
    folder = write_lerobot(tmp_path / "lerobot", variant.name, variant.golden.weights, **relative)
    spec = read_lerobot_pi0(folder, embodiment, told=told).config.spec
    gripper = embodiment.action_names[7]
    assert (spec.action_reference, spec.absolute_actions) == ("qpos", (gripper,))
    weights = write_openpi(tmp_path / "openpi", variant.golden.weights)
    delta = Pi0Told(told.tokenizer, "qpos", (gripper,), "text", vision_heads=4)
    assert read_openpi(weights, embodiment, ROLES, delta).config.spec == spec


@pytest.mark.parametrize("missing", [TABLE, HEAD])
def test_one_of_the_tied_weights_is_enough(missing, variant, tmp_path, embodiment, told) -> None:
    weights = {name: tensor for name, tensor in variant.golden.weights.items() if name != missing}
    require_golden_actions(read_openpi(write_openpi(tmp_path / "one", weights), embodiment, ROLES, told), variant)


def test_names_of_other_versions(variant, tmp_path, embodiment, told) -> None:
    weights = {
        f"_orig_mod.{name}".replace(".vision_model.", "."): tensor for name, tensor in variant.golden.weights.items()
    }
    if variant.name == "pi0":
        weights = {name.replace("action_time_mlp", "time_mlp"): tensor for name, tensor in weights.items()}
    else:
        weights[f"_orig_mod.{TOWERS}.gemma_expert.model.layers.0.input_layernorm.weight"] = torch.ones(48)
    require_golden_actions(read_openpi(write_openpi(tmp_path / "named", weights), embodiment, ROLES, told), variant)


@pytest.mark.parametrize("variant", ["pi05"], indirect=True)
def test_what_is_not_said_is_asked_for(variant, openpi, lerobot, embodiment) -> None:
    with pytest.raises(MissingInformation, match=r"tokenizer \(.*\), action_reference \(.*\), state_input \("):
        read_openpi(openpi, embodiment, ROLES)
    with pytest.raises(MissingInformation, match=r"expected to be told tokenizer \([^)]*\)$"):
        read_lerobot_pi0(lerobot, embodiment)


@pytest.mark.parametrize("variant", ["pi0"], indirect=True)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("state_proj.weight"), "missing: model.state_proj.weight"),
        (lambda weights: weights.update(extra=torch.ones(1)), "unexpected: model.extra"),
        (lambda weights: weights.update({HEAD: torch.zeros(300, 64)}), "to which it is tied, found another one"),
        (lambda weights: weights.update({"a.lora_A.weight": torch.ones(1)}), r"found changes of them \(LoRA\)"),
        (lambda weights: weights.pop("action_in_proj.weight"), "found none for 'action_in_proj.weight'"),
        (
            lambda weights: weights.update({"action_in_proj.weight": torch.ones(2)}),
            "expected 2 dimensions, found the shape",
        ),
        (
            lambda weights: weights.update({"action_in_proj.bias": torch.full((48,), torch.nan)}),
            "expected finite weights",
        ),
        (
            lambda weights: weights.update(
                {
                    f"{TOWERS}.paligemma.language_model.model.norm.weight": weights[
                        f"{TOWERS}.gemma_expert.model.norm.weight"
                    ]
                }
            ),
            "of an older LeRobot",
        ),
        (
            lambda weights: weights.update(
                {f"{TOWERS}.gemma_expert.model.layers.1.self_attn.q_proj.weight": torch.zeros(8, 48)}
            ),
            "of another shape",
        ),
    ],
)
def test_weights_that_do_not_fit(change, message, variant, tmp_path, embodiment, told) -> None:
    weights = {**variant.golden.weights}
    change(weights)
    with pytest.raises(CheckpointError, match=message):
        read_openpi(write_openpi(tmp_path / "changed", weights), embodiment, ROLES, told).network()


@pytest.mark.parametrize("variant", ["pi0"], indirect=True)
def test_folders_of_openpi_that_cannot_be_used(variant, openpi, embodiment, told, tmp_path) -> None:
    def refused(message: str, cameras: tuple[str, ...] = ROLES) -> None:
        with pytest.raises(CheckpointError, match=message):
            read_openpi(openpi, embodiment, cameras, told)

    refused("expected one to three cameras", ())
    with pytest.raises(EmbodimentMismatch, match="needs the camera 'ceiling'"):
        read_openpi(openpi, embodiment, ("ceiling",), told)
    write_stats(openpi / "assets" / "droid", STATS)
    refused(r"expected assets/<asset>/norm_stats.json, exactly one; found the assets 'droid' or 'lab/fr3'")
    (openpi / "assets" / "droid" / "norm_stats.json").unlink()
    stats = openpi / "assets" / "lab" / "fr3"
    for wrong, message in (
        ({"state": STATS["state"]}, "actions: expected statistics, found none"),
        ({"state": {"mean": [1.0], "std": [1.0]}}, "state: mean: expected at least 8 values, found 1"),
        ({"state": {"mean": "many", "std": [1.0]}}, "state: mean: expected a list of numbers, found str"),
        ({"state": {"q01": [0.0] * 8, "q99": [1.0] * 8}}, "state: .*mean"),
        ([], "expected the key 'norm_stats'"),
    ):
        write_stats(stats, wrong)
        refused(message)
    write_openpi(openpi, variant.golden.weights, action_dim=16)
    refused("action_dim: expected 32 as of the weights, found 16")
    write_openpi(openpi, variant.golden.weights, action_horizon="six")
    refused("action_horizon: expected a whole number above 0, found 'six'")
    write_openpi(openpi, variant.golden.weights, paligemma_variant="gemma_2b")
    refused("paligemma_variant: expected GemmaShape.*found weights of")
    whole = (openpi / "model.safetensors").read_bytes()
    (openpi / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    refused("expected a whole safetensors file")
    (openpi / "model.safetensors").write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    refused("expected a whole safetensors file")
    (openpi / "model.safetensors").unlink()
    (openpi / "params").mkdir()
    refused("found the JAX checkpoint of openpi")


@pytest.mark.parametrize("variant", ["pi0"], indirect=True)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "pi0_fast"}, "expected 'pi0' or 'pi05', found pi0-FAST"),
        ({"type": "act"}, "type: expected 'pi0' or 'pi05', found 'act'"),
        ({"type": "pi05"}, "expected the weights of 'pi05', found those of pi0"),
        ({"max_state_dim": 24}, "max_state_dim: expected 32, found 24"),
        ({"max_period": 8.0}, "max_period: expected 4.0, found 8.0"),
        ({"tokenizer_max_length": 10**12}, "prompt_length"),
        ({"num_inference_steps": 0}, "num_inference_steps: expected at least 1, found 0"),
        ({"normalization_mapping": {"VISUAL": "MEAN_STD"}}, "VISUAL: expected 'IDENTITY', found 'MEAN_STD'"),
        ({"normalization_mapping": {"STATE": "QUANTILE10"}}, "STATE: expected .*found 'QUANTILE10'"),
        ({"use_relative_actions": True}, "use_relative_actions: expected False as in the processors, found True"),
    ],
)
def test_folders_of_lerobot_that_cannot_be_used(changes, message, variant, tmp_path, embodiment, told) -> None:
    folder = write_lerobot(tmp_path / "lerobot", "pi0", variant.golden.weights, **changes)
    if "use_relative_actions" in changes:
        write_lerobot(tmp_path / "lerobot", "pi0", variant.golden.weights)
        (folder / "config.json").write_text(json.dumps({**lerobot_config("pi0"), **changes}))
    with pytest.raises(CheckpointError, match=message):
        read_lerobot_pi0(folder, embodiment, told=told)


@pytest.mark.parametrize("variant", ["pi0"], indirect=True)
def test_a_policy_of_lerobot_without_statistics_is_refused(variant, lerobot, embodiment, told) -> None:
    for path in lerobot.glob("policy_*"):
        path.unlink()
    with pytest.raises(CheckpointError, match=r"expected mean and std of 'observation.state'"):
        read_lerobot_pi0(lerobot, embodiment, told=told)


@pytest.mark.parametrize("variant", ["pi0"], indirect=True)
def test_a_tokenizer_of_another_vocabulary(variant, openpi, embodiment, observation, told, tmp_path) -> None:
    assert told.tokenizer is not None
    write_tokenizer(told.tokenizer, [chr(0x100 + index) for index in range(60)])
    with pytest.raises(CheckpointError, match="expected at most 300 pieces, found 326"):
        actions_of(read_openpi(openpi, embodiment, ROLES, told), observation)


@pytest.mark.parametrize("variant", ["pi05"], indirect=True)
@pytest.mark.parametrize("container", ["openpi", "lerobot_pi0"])
def test_any_reader_finds_out_which_container_it_is(
    container, variant, openpi, lerobot, embodiment, told, tmp_path
) -> None:
    folder = openpi if container == "openpi" else lerobot
    assert container_of(folder) == container
    details = {"tokenizer": str(told.tokenizer), "vision_heads": 4}
    more = {"state_input": "text", "action_reference": "absolute"} if container == "openpi" else {}
    knows = Told(embodiment, ROLES, name="mine", details={**details, **more})
    written = convert(folder, tmp_path / "converted", told=knows)
    require_golden_actions(read_checkpoint(tmp_path / "converted"), variant)
    assert (written.config.family, written.config.name) == ("pi05", "mine")
    assert describe(folder, knows)["head"] == "flow_matching"
    with pytest.raises(MissingInformation, match="--embodiment"):
        read_any(folder)
    with pytest.raises(CheckpointError, match=r"may be told .*found 'colour'"):
        read_any(folder, Told(embodiment, ROLES, details={"colour": "red"}))


@pytest.mark.parametrize("container", ["openpi", "lerobot_pi0"])
def test_it_is_loaded_as_it_is(container, variant, openpi, lerobot, embodiment, told, observation, tmp_path) -> None:
    more = {"state_input": "text", "action_reference": "absolute"} if container == "openpi" else {}
    knows = Told(embodiment, ROLES, details={"tokenizer": str(told.tokenizer), "vision_heads": 4, **more})
    folder, title = (openpi, "Physical-Intelligence/openpi") if container == "openpi" else (lerobot, "LeRobot's pi0")
    require_loaded_as_converted(folder, knows, dataclasses.replace(observation, prompt="a"), tmp_path, title)


def test_pi0_fast_is_refused_by_name(tmp_path, embodiment) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"type": "pi0_fast"}))
    with pytest.raises(CheckpointError, match="found pi0-FAST, which writes its actions as text"):
        read_any(tmp_path, Told(embodiment))


def test_a_jax_checkpoint_is_refused_by_name(tmp_path, embodiment) -> None:
    (tmp_path / "params").mkdir()
    with pytest.raises(CheckpointError, match="found the JAX checkpoint of openpi"):
        read_any(tmp_path, Told(embodiment))
