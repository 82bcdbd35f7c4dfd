"""Policies in any container that is known here: finding out which one it is, reading it, writing it anew.

=========== ======================================================= ================================================
container   what is there                                           what it does not say
=========== ======================================================= ================================================
vla         a folder with ``config.yaml`` (``checkpoint.py``)       nothing
lerobot     a folder with ``config.json`` (``formats/lerobot.py``)  the embodiment
original    a ``.ckpt`` of tonyzhaozh/act, statistics beside it     the embodiment, its cameras, the attention heads,
                                                                    and whether its images were RGB, as usual, or BGR
a family's  a folder that only one family has                       what its reader asks for
            (``family_containers.py``)
=========== ======================================================= ================================================
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from vla_core import config as configuration
from vla_core.embodiment import Embodiment, require_compatible
from vla_core.errors import CheckpointError, choice
from vla_policies import provenance
from vla_policies.act.export import ORIGINAL_FILE, write_lerobot_act, write_original
from vla_policies.act.lerobot import read_lerobot_act
from vla_policies.act.original import read_original
from vla_policies.checkpoint import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    PolicyConfig,
    read_checkpoint,
    write_checkpoint,
)
from vla_policies.errors import MissingInformation
from vla_policies.family_containers import FAMILY_CONTAINERS
from vla_policies.formats import lerobot
from vla_policies.spec import PolicySpec
from vla_policies.tolerance import tolerated
from vla_policies.weights import require_fit

Writable = Literal["vla", "lerobot", "original"]
Container = Writable | Literal["crossformer", "groot", "lerobot_pi0", "openpi"]

TITLES: dict[str, str] = {
    "vla": "vla",
    "lerobot": "LeRobot",
    "original": "tonyzhaozh/act",
    **{name: container.title for name, container in FAMILY_CONTAINERS.items()},
}

_WRITERS: dict[Writable, Callable[[Path, Checkpoint], None]] = {
    "vla": write_checkpoint,
    "lerobot": write_lerobot_act,
    "original": write_original,
}
_NOT_SAID: dict[str, tuple[str, ...]] = {
    "vla": (),
    "lerobot": ("embodiment",),
    "original": ("embodiment", "cameras", "heads"),
    **dict.fromkeys(FAMILY_CONTAINERS, ("embodiment",)),
}
_ASKED = {
    "embodiment": "--embodiment (the robot that it was trained with)",
    "cameras": "--camera (once for each of its camera_names, in their order: the camera's role)",
    "heads": "--heads (its nheads; 8 as published)",
}


@dataclass(frozen=True)
class Told:
    """What whoever reads a checkpoint knows about it that its container may not say.

    Attributes:
        embodiment: the robot that it was trained with. Of a checkpoint of ours: one that it must fit.
        cameras: camera roles in the network's order.
        heads: attention heads.
        bgr: it was trained on images whose channels are blue, green, red, as OpenCV has them.
        name: what to call the policy; ours have a name.
        details: what the reader of a family's own container asks for, by its names; and of any foreign container ``transforms``,
            the list of ``spec.transforms`` (see ``vla_policies.transforms``) that its code has around the network.
        allow_missing: patterns of weights (``training.keys``) that may be missing: they are as in a network that is not trained.
        allow_unexpected: patterns of weights that the network has not: they are left out.
    """

    embodiment: Embodiment | None = None
    cameras: Sequence[str] = ()
    heads: int | None = None
    bgr: bool = False
    name: str = "act"
    details: Mapping[str, Any] = field(default_factory=dict)
    allow_missing: Sequence[str] = ()
    allow_unexpected: Sequence[str] = ()

    @staticmethod
    def of(embodiment: Embodiment | None, named: Mapping[str, Any], name: str) -> Told:
        """From names as ``--tell`` has them; those that are none of these are for the reader of a family."""
        own = {key: value for key, value in named.items() if key in _OWN_NAMES}
        others = {key: value for key, value in named.items() if key not in _OWN_NAMES}
        return Told(embodiment, details=others, **{"name": name, **own})


_TRANSFORMS = "transforms"
_OWN_NAMES = ("cameras", "heads", "bgr", "name", "allow_missing", "allow_unexpected")
NOTHING_TOLD = Told()


def container_of(path: Path | str) -> Container:
    """Which container a file or folder is.

    Raises:
        CheckpointError: none that is known, or there is nothing.
    """
    path = Path(path)
    if path.is_file() and path.suffix in (".ckpt", ".pt", ".pth"):
        return "original"
    if (path / CONFIG_FILE).is_file():
        return "vla"
    for name, container in FAMILY_CONTAINERS.items():
        if container.recognises(path):
            return cast(Container, name)
    if (path / lerobot.CONFIG_FILE).is_file():
        return "lerobot"
    if any(path.glob("*.ckpt")):
        return "original"
    found = (
        sorted(entry.name for entry in path.iterdir()) if path.is_dir() else "a file" if path.exists() else "nothing"
    )
    raise CheckpointError(
        f"{path}: expected a folder with {CONFIG_FILE} (vla), one with {lerobot.CONFIG_FILE} (LeRobot), or a .ckpt file "
        f"(tonyzhaozh/act), or a folder of {choice([container.title for container in FAMILY_CONTAINERS.values()])}, found {found}"
    )


def weights_file(path: Path | str) -> Path:
    """The file that holds a checkpoint's weights. Raises CheckpointError as :func:`container_of`, or if it cannot tell."""
    path = Path(path)
    if path.is_file():
        container_of(path)
        return path
    container = container_of(path)
    if container in FAMILY_CONTAINERS:
        return FAMILY_CONTAINERS[container].weights_file(path) or path
    if container != "original":
        return path / WEIGHTS_FILE
    if (path / ORIGINAL_FILE).is_file():
        return path / ORIGINAL_FILE
    found = sorted(path.glob("*.ckpt"))
    if len(found) > 1:
        names = [file.name for file in found]
        raise CheckpointError(f"{path}: holds several checkpoints; expected the path of one of them, of {names}")
    return found[0]


def read_any(path: Path | str, told: Told = NOTHING_TOLD) -> Checkpoint:
    """Reads a checkpoint in any container, as a whole: its network can be built, and its configuration written.

    Raises:
        MissingInformation: the container does not say something that is not told either.
        CheckpointError: it cannot be read, its parts do not fit each other, or it is told what it says itself.
        ConfigError: a ``config.yaml`` is wrong.
        EmbodimentMismatch: it does not fit the robot.
    """
    container = container_of(path)
    transforms = told.details.get(_TRANSFORMS)
    if container != "vla":
        others = {name: value for name, value in told.details.items() if name != _TRANSFORMS}
        told = dataclasses.replace(told, details=others)
    checkpoint = _read(Path(path), container, told)
    if container != "vla":
        checkpoint = _with_license(checkpoint, Path(path))
    if transforms is not None:
        checkpoint = _with_transforms(checkpoint, transforms, Path(path))
    checkpoint = tolerated(checkpoint, told.allow_missing, told.allow_unexpected)
    plain = configuration.to_mapping(checkpoint.config)
    configuration.from_mapping(PolicyConfig, plain, str(path))
    require_fit(checkpoint.skeleton(), checkpoint.weights, str(path))
    return checkpoint


def convert(source: Path | str, out: Path | str, to: Writable = "vla", told: Told = NOTHING_TOLD) -> Checkpoint:
    """Writes a checkpoint in another container. Nothing is left behind if it fails.

    Args:
        source: the checkpoint.
        out: a folder that is not there yet, or is empty.
        to: the container to write.
        told: what that of the source does not say.

    Returns:
        What was written.

    Raises:
        CheckpointError: as :func:`read_any`; or ``out`` is there, cannot be written, or the container cannot hold the policy.
        MissingInformation, ConfigError, EmbodimentMismatch: as :func:`read_any`.
    """
    out = Path(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise CheckpointError(f"{out}: expected a folder that is not there yet, found one; nothing is overwritten")
    if container_of(source) == to:
        raise CheckpointError(
            f"{source}: is a checkpoint of {TITLES[to]} already; expected another container to convert to"
        )
    checkpoint = read_any(source, told)
    with _whole_folder(out) as folder:
        _WRITERS[to](folder, checkpoint)
        for file in provenance.license_files(Path(source)):
            shutil.copyfile(file, folder / file.name)
    return checkpoint


def _read(path: Path, container: Container, told: Told) -> Checkpoint:
    _require_told(path, container, told)
    if container == "vla":
        checkpoint = read_checkpoint(path)
        if told.embodiment is not None:
            require_compatible(checkpoint.config.embodiment, told.embodiment, f"policy {path}")
        return checkpoint
    assert told.embodiment is not None
    if container in FAMILY_CONTAINERS:
        family = FAMILY_CONTAINERS[container]
        return family.read_told(path, told.embodiment, told.cameras, told.details, told.name)
    if container == "lerobot":
        return read_lerobot_act(path, told.embodiment, told.cameras, told.name)
    assert told.heads is not None
    return read_original(weights_file(path), told.embodiment, told.cameras, told.heads, told.name, told.bgr)


def _with_license(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    known = dataclasses.replace(checkpoint.config.provenance, license=provenance.license_of(path))
    return dataclasses.replace(checkpoint, config=dataclasses.replace(checkpoint.config, provenance=known))


def _with_transforms(checkpoint: Checkpoint, transforms: Any, path: Path) -> Checkpoint:
    """Raises ConfigError if they are no such list, and CheckpointError if they do not fit the vectors."""
    plain = {**configuration.to_mapping(checkpoint.config.spec), "transforms": transforms}
    spec = configuration.from_mapping(PolicySpec, plain, f"{path}: told")
    changed = dataclasses.replace(checkpoint, config=dataclasses.replace(checkpoint.config, spec=spec))
    changed.pipeline()
    return changed


def _require_told(path: Path, container: Container, told: Told) -> None:
    given = {"embodiment": told.embodiment is not None, "cameras": bool(told.cameras), "heads": told.heads is not None}
    missing = [_ASKED[key] for key in _NOT_SAID[container] if not given[key]]
    if missing:
        raise MissingInformation(
            f"{path}: a checkpoint of {TITLES[container]} does not say everything; expected " + ", ".join(missing)
        )
    if container == "vla" and given["cameras"]:
        raise CheckpointError(f"{path}: names its cameras itself; expected no --camera, found {list(told.cameras)}")
    if container != "original" and given["heads"]:
        raise CheckpointError(f"{path}: says its heads itself; expected no --heads, found {told.heads}")
    if container not in FAMILY_CONTAINERS and told.details:
        raise CheckpointError(
            f"{path}: expected no --tell for a policy of {TITLES[container]}, found {dict(told.details)}"
        )
    if container != "original" and told.bgr:
        raise CheckpointError(f"{path}: a policy of {TITLES[container]} sees RGB; expected no --bgr")


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write into that gets the name ``out`` only if everything was written."""
    whole = out.absolute()
    partial = whole.with_name(whole.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of a conversion that was killed
        partial.mkdir(parents=True)
        yield partial
        os.replace(partial, whole)
    except OSError as error:
        raise CheckpointError(f"{out}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
