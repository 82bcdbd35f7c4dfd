"""Containers that one family has for itself: how each is recognised and read. A further one is a further row.

What such a folder does not say, its reader is told by a dataclass of its own; users name the fields of it one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from vla_core import config as configuration
from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError, choice
from vla_policies.checkpoint import Checkpoint
from vla_policies.crossformer import published as crossformer
from vla_policies.formats.shards import WHOLE_FILE
from vla_policies.groot import checkpoints as groot
from vla_policies.groot import versions as groot_versions
from vla_policies.openvla import hugging_face as openvla
from vla_policies.pi0.lerobot import is_lerobot_pi0, read_lerobot_pi0
from vla_policies.pi0.openpi import is_openpi, read_openpi
from vla_policies.pi0.told import Pi0Told


class Reader(Protocol):
    """Reads a checkpoint for a robot; the meaning of ``cameras`` is the family's."""

    def __call__(
        self, path: Path, embodiment: Embodiment, cameras: Sequence[str], told: Any, name: str, /
    ) -> Checkpoint: ...


@dataclass(frozen=True)
class FamilyContainer:
    """A container of one family.

    Attributes:
        title: whose it is.
        recognises: whether a path is one.
        weights_file: the file that stands for its weights.
        told: frozen dataclass of what its reader may be told.
        read: makes a checkpoint of ours of it.
    """

    title: str
    recognises: Callable[[Path], bool]
    weights_file: Callable[[Path], Path | None]
    told: type[Any]
    read: Reader

    def read_told(
        self, path: Path, embodiment: Embodiment, cameras: Sequence[str], details: Mapping[str, Any], name: str
    ) -> Checkpoint:
        """Reads a checkpoint, with what is told about it as plain data.

        Raises:
            CheckpointError: as the reader; or something is told that it does not ask for.
            ConfigError: what is told is of a wrong kind.
        """
        known = [field.name for field in fields(self.told)]
        for key in details:
            if key not in known:
                raise CheckpointError(
                    f"{path}: a checkpoint of {self.title} may be told {choice(known)}, found '{key}'"
                )
        told = configuration.from_mapping(self.told, dict(details), f"{path}: told")
        return self.read(path, embodiment, cameras, told, name)


FAMILY_CONTAINERS = {
    "crossformer": FamilyContainer(
        title="rail-berkeley/crossformer",
        recognises=crossformer.is_crossformer,
        weights_file=crossformer.parameters_file,
        told=crossformer.CrossFormerTold,
        read=crossformer.read_crossformer,
    ),
    "groot": FamilyContainer(
        title="GR00T (NVIDIA's or LeRobot's)",
        recognises=groot_versions.is_groot,
        weights_file=groot.weights_file,
        told=groot.GrootTold,
        read=groot.read_groot,
    ),
    "openvla": FamilyContainer(
        title="OpenVLA or OpenVLA-OFT",
        recognises=openvla.is_openvla,
        weights_file=openvla.weights_file,
        told=openvla.OpenVlaTold,
        read=openvla.read_openvla,
    ),
    "openpi": FamilyContainer(
        title="Physical-Intelligence/openpi",
        recognises=is_openpi,
        weights_file=lambda folder: folder / WHOLE_FILE,
        told=Pi0Told,
        read=read_openpi,
    ),
    "lerobot_pi0": FamilyContainer(
        title="LeRobot's pi0",
        recognises=is_lerobot_pi0,
        weights_file=lambda folder: folder / WHOLE_FILE,
        told=Pi0Told,
        read=read_lerobot_pi0,
    ),
}
