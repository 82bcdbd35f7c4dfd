"""Finding a robot's model."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from vla_core.errors import ConfigError

_PACKAGE = "package://"


def model_file(model: str) -> Path:
    """The file that ``kinematics.model`` names.

    A package is a Python package, or one of ROS: a folder ``share/PACKAGE`` of an installed prefix.

    Raises:
        ConfigError: there is no such file, with the places that were looked at.
    """
    places = list(_places(model))
    for place in places:
        if place.is_file():
            return place
    if not model.startswith(_PACKAGE) and not Path(model).expanduser().is_absolute():
        raise ConfigError(f"kinematics.model: expected an absolute path or package://PACKAGE/PATH, found '{model}'")
    looked = ", ".join(str(place) for place in places) or "no package of that name"
    raise ConfigError(f"kinematics.model: expected the file '{model}', found none (looked at: {looked})")


def _places(model: str) -> Iterator[Path]:
    if not model.startswith(_PACKAGE):
        yield Path(model).expanduser()
        return
    package, _, path = model.removeprefix(_PACKAGE).partition("/")
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    for folder in (found.submodule_search_locations or ()) if found else ():
        yield Path(folder) / path
    for prefix in filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        yield Path(prefix) / "share" / package / path
