"""Episodes to train on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from training_presets import BARE

from vla_core.embodiment import Embodiment


@pytest.fixture(scope="session")
def episodes(tmp_path_factory: pytest.TempPathFactory, record_reaching: Callable[..., Path]) -> list[Path]:
    folder = tmp_path_factory.mktemp("episodes")
    return [record_reaching(folder, seed) for seed in range(5)]


@pytest.fixture(scope="session")
def bare_arm(embodiment: Embodiment) -> Embodiment:
    """The arm without its gripper and with one camera."""
    return dataclasses.replace(
        embodiment,
        name=BARE,
        action=dataclasses.replace(embodiment.action, fields=embodiment.action.fields[:1]),
        cameras={"scene": embodiment.cameras["scene"]},
        proprioception={group: fields[:1] for group, fields in embodiment.proprioception.items()},
        gripper=None,
    )
