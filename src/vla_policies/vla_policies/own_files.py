"""Files that a network needs beside its weights, such as a tokenizer: they are kept in the checkpoint's folder.

In ``config.yaml`` such a file has its mere name, so that a folder can be moved. A folder of a tokenizer becomes a folder there.
Configurations that name a path elsewhere, as all did once, are read as they are.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vla_core.errors import CheckpointError
from vla_policies.families import require_family

_OF_A_TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json")


def kept(folder: Path, family: str, network: Mapping[str, Any]) -> dict[str, Any]:
    """Copies the files that hyper-parameters name into a folder.

    Returns:
        The hyper-parameters with the names of the copies.

    Raises:
        CheckpointError: there is no such file.
    """
    changed = dict(network)
    for key, named in _named(folder, family, network).items():
        if isinstance(named, Mapping):
            changed[key] = {name: _copied(Path(path), folder, key, f"{name}_") for name, path in named.items()}
        else:
            changed[key] = _copied(Path(named), folder, key)
    return changed


def found(folder: Path, family: str, network: Mapping[str, Any]) -> dict[str, Any]:
    """The hyper-parameters with the paths of the files that are in the folder."""
    changed = dict(network)
    for key, named in _named(folder, family, network).items():
        if isinstance(named, Mapping):
            changed[key] = {name: _here(path, folder) for name, path in named.items()}
        else:
            changed[key] = _here(named, folder)
    return changed


def _named(folder: Path, family: str, network: Mapping[str, Any]) -> dict[str, Any]:
    """The hyper-parameters that name files."""
    return {key: network[key] for key in require_family(family, str(folder)).files if network.get(key)}


def _here(path: str, folder: Path) -> str:
    return str(folder / path) if Path(path).name == path and (folder / path).exists() else path


def _copied(source: Path, folder: Path, key: str, prefix: str = "") -> str:
    if source.exists() and folder.samefile(source.parent):
        return source.name
    target = folder / (prefix + source.name)
    files = [source / name for name in _OF_A_TOKENIZER] if source.is_dir() else [source]
    there = [file for file in files if file.is_file()]
    if not there:
        raise CheckpointError(f"{key}: expected a file that can be kept with the weights, found none at {source}")
    if source.is_dir():
        target = folder / key
        target.mkdir(exist_ok=True)
    for file in there:
        place = target / file.name if source.is_dir() else target
        partial = place.with_name(place.name + ".partial")
        shutil.copyfile(file, partial)
        os.replace(partial, place)
    return target.name
