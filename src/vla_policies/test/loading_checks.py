"""A checkpoint in any container acts as the folder of ours that it is converted to, wherever that is moved."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np

import vla_policies
from vla_core.observation import Observation
from vla_policies.containers import Told, convert


def require_loaded_as_converted(source: Path, told: Told, observation: Observation, work: Path, title: str) -> None:
    """Loads a checkpoint as it is, and converted, moved and without any file from elsewhere; ``title`` is whose it is."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("vla_policies.loading")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        direct = vla_policies.load(source, embodiment=told.embodiment, told=told)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert f"a checkpoint of {title}: " in direct.description
    assert messages == [direct.description]
    expected = direct.infer(observation).actions
    convert(source, work / "converted", told=told)
    os.replace(work / "converted", work / "moved")
    for key, value in told.details.items():
        if key.startswith("tokenizer"):
            os.replace(value, work / "elsewhere")
    made = vla_policies.load(work / "moved", embodiment=told.embodiment)
    assert "a checkpoint of vla: " in made.description
    np.testing.assert_array_equal(made.infer(observation).actions, expected)
    assert np.isfinite(expected).all()
