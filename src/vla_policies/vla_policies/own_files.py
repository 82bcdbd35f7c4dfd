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
    names = {key: network[key] for key in require_family(family, str(folder)).files if network.get(key)}
    return {**network, **{key: _copied(Path(named), folder, key) for key, named in names.items()}}


def found(folder: Path, family: str, network: Mapping[str, Any]) -> dict[str, Any]:
    """The hyper-parameters with the paths of the files that are in the folder."""
    here = {
        key: str(folder / network[key])
        for key in require_family(family, str(folder)).files
        if network.get(key) and Path(network[key]).name == network[key] and (folder / network[key]).exists()
    }
    return {**network, **here}


def _copied(source: Path, folder: Path, key: str) -> str:
    target = folder / source.name
    if target.exists() and source.exists() and target.samefile(source):
        return target.name
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
