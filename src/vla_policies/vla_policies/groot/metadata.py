"""``experiment_cfg/metadata.json`` of NVIDIA's checkpoints: for each embodiment, what its data were and their statistics.

States and actions consist of keys (``left_arm``, ``gripper``), each with statistics of its own, joined in an order and
normalised in modes that stood in the code of whoever trained: no file says them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vla_core.errors import CheckpointError, choice
from vla_policies.errors import MissingInformation
from vla_policies.formats.json_file import read_json
from vla_policies.normalisation import Normalisation, NormStats, SchemeName
from vla_policies.spec import ImageSize

METADATA_FILE = Path("experiment_cfg") / "metadata.json"
MODES: dict[str, SchemeName] = {
    "min_max": "groot_min_max",
    "q99": "groot_q99",
    "mean_std": "groot_mean_std",
    "binary": "groot_binary",
}
_STATISTICS = ("mean", "std", "min", "max", "q01", "q99")


class Metadata:
    """What the file says about one embodiment."""

    def __init__(self, folder: Path, tag: str = "") -> None:
        """Reads it.

        Args:
            folder: the checkpoint.
            tag: the embodiment; it need not be named if there is only one.

        Raises:
            MissingInformation: there are several.
            CheckpointError: the file is missing or damaged, or has no such embodiment.
        """
        self.where = str(folder / METADATA_FILE)
        tags = read_json(folder / METADATA_FILE)
        if not tag and len(tags) != 1:
            raise MissingInformation(f"{self.where}: expected embodiment_tag, one of {choice(tags)}")
        self.tag = tag or next(iter(tags))
        if self.tag not in tags:
            raise CheckpointError(f"{self.where}: expected {choice(tags)}, found no '{self.tag}'")
        self._statistics = self._mapping(tags, self.tag, "statistics")
        self._modalities = self._mapping(tags, self.tag, "modalities")

    def image_sizes(self) -> dict[str, ImageSize]:
        """The cameras by their keys, in order."""
        sizes = {}
        for key in self._mapping(self._modalities, "video"):
            resolution = self._mapping(self._modalities, "video", key).get("resolution")
            if not isinstance(resolution, list) or [type(number) for number in resolution] != [int, int]:
                raise CheckpointError(f"{self.where}: video.{key}: expected its resolution, found {resolution!r}")
            sizes[key] = ImageSize(width=resolution[0], height=resolution[1])
        return sizes

    def normalisation(self, modality: str, keys: Sequence[str], modes: Mapping[str, str]) -> Normalisation:
        """How the joined vector of a modality is normalised.

        Args:
            modality: ``state`` or ``action``.
            keys: its keys in their order; they need not be named if there is only one.
            modes: a key of ``MODES`` for each key, as ``state.left_arm``; under the empty name the one of all others.

        Raises:
            MissingInformation: the keys or the mode of one are not told.
            CheckpointError: the file lacks them, or they are not usable.
        """
        known = list(self._mapping(self._statistics, modality))
        if not keys and len(known) != 1:
            raise MissingInformation(
                f"{self.where}: does not say in which order its keys make up a {modality}; expected {modality}_keys, of "
                f"{choice(known)}"
            )
        unknown = [key for key in keys if key not in known]
        if unknown:
            raise CheckpointError(f"{self.where}: {modality}_keys: expected some of {choice(known)}, found {unknown}")
        parts = tuple(self._part(modality, key, modes) for key in keys or known)
        return parts[0] if len(parts) == 1 else Normalisation("joined", parts=parts)

    def _part(self, modality: str, key: str, modes: Mapping[str, str]) -> Normalisation:
        name = f"{modality}.{key}"
        mode = modes.get(name, modes[""])
        if mode not in MODES:
            raise MissingInformation(
                f"{self.where}: does not say how '{name}' is normalised; expected mode, or modes with '{name}', "
                f"{choice(MODES)}, found '{mode}'"
            )
        rotation = self._mapping(self._modalities, modality).get(key, {}).get("rotation_type")
        if rotation is not None:
            raise CheckpointError(
                f"{self.where}: {name}: is a rotation ({rotation}), which its code may have converted; expected none: "
                f"embodiments with rotations are not supported"
            )
        given = self._mapping(self._statistics, modality, key)
        try:
            known: dict[str, Any] = {name: _numbers(given[name]) for name in _STATISTICS if name in given}
            stats = NormStats(**known)
            return Normalisation(MODES[mode], stats)
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{self.where}: statistics of '{name}': {error}") from error

    def _mapping(self, data: Any, *path: str) -> dict[str, Any]:
        """What is found going down the path."""
        for key in path:
            data = data.get(key) if isinstance(data, dict) else None
        if not isinstance(data, dict):
            raise CheckpointError(f"{self.where}: {'.'.join(path)}: expected keys, found {data!r:.80}")
        return data


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
