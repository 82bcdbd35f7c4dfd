"""Which GR00T a configuration is of. N1.5 is read; the others have other networks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vla_core.errors import CheckpointError
from vla_policies.formats.json_file import read_json

CONFIG_FILE = "config.json"

_MODEL_TYPE = "gr00t_n1_5"

_OTHERS = {
    "N1": "SmolLM2 as its language model and another transformer",
    "N1.6": "a transformer of 32 layers that attends to text and images by turns, and no future tokens",
    "N1.7": "Cosmos-Reason2 as its language model, 40 actions of 132 dimensions",
}
# as model_type and architectures write it (gr00t_n1_5, GR00T_N1_5, Gr00tN1d7), or a path (nvidia/GR00T-N1.5-3B), or n1.7
_VERSION = re.compile(r"(?:^|[^a-z0-9])n1(?:[._d]?([5-9]))?(?:$|[^0-9])")
_NAME = re.compile(r"gr00t[-_]?")


def is_groot(folder: Path) -> bool:
    """Whether the folder holds a GR00T of any version, of NVIDIA's or LeRobot's making."""
    if not (folder / CONFIG_FILE).is_file():
        return False
    config = read_json(folder / CONFIG_FILE)
    return config.get("type") == "groot" or any("gr00t" in name.lower() for name in _names(config))


def require_n1_5(config: Mapping[str, Any], where: str) -> None:
    """Checks that a ``config.json`` is of GR00T N1.5. One of LeRobot need not say; its processors do.

    Raises:
        CheckpointError: it is of another version, which the error names, or of none that is known.
    """
    lerobot = config.get("type") == "groot"
    keys = ("model_version", "base_model_path") if lerobot else ("model_type", "architectures")
    told = {key: config[key] for key in keys if config.get(key)}
    versions = [version for value in told.values() for version in _versions(value)]
    for version in versions:
        if version in _OTHERS:
            raise CheckpointError(
                f"{where}: expected GR00T N1.5, found {version}, which is another network ({_OTHERS[version]}) and is not "
                f"supported: {told}"
            )
    if not lerobot and config.get("model_type") != _MODEL_TYPE:
        raise CheckpointError(f"{where}: expected the model_type '{_MODEL_TYPE}' (GR00T N1.5), found {told}")


def _names(config: Mapping[str, Any]) -> list[str]:
    values = [config.get("model_type"), *_as_list(config.get("architectures"))]
    return [value for value in values if isinstance(value, str)]


def _versions(value: Any) -> list[str]:
    found = []
    for text in _as_list(value):
        match = _VERSION.search(" " + _NAME.sub(" ", str(text).lower()))
        if match:
            found.append(f"N1.{match.group(1)}" if match.group(1) else "N1")
    return found


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
