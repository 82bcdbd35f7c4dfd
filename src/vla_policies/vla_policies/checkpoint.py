"""A trained policy on disk: a folder with ``config.yaml``, which says everything but the weights, and ``model.safetensors``."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from torch import Tensor, nn

from vla_core import config
from vla_core.embodiment import Embodiment
from vla_core.embodiment.loading import check_embodiment
from vla_core.errors import CheckpointError
from vla_policies import own_files
from vla_policies.families import build_network
from vla_policies.normalisation import Normalisation
from vla_policies.pipeline import Pipeline
from vla_policies.spec import PolicySpec
from vla_policies.weights import give, read_weights, require_finite, write_weights

CONFIG_FILE = "config.yaml"
WEIGHTS_FILE = "model.safetensors"

_BLOCK = 1 << 20
_HEADER = (
    "# A policy of vla: what it sees, what it outputs, how it is normalised, for which robot, how it was trained.\n"
)


@dataclass(frozen=True)
class Provenance:
    """How the weights came to be."""

    created: str
    """ISO 8601, UTC"""
    source: str
    """folder of the episodes, or the foreign checkpoint that was converted"""
    episodes: int = 0
    episode_steps: int = 0
    """steps of all the episodes together"""
    train_steps: int = 0
    seed: int | None = None
    command_line: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """validation figures of these weights"""
    license: str = ""
    """what the foreign checkpoint says that it is under"""


@dataclass(frozen=True)
class PolicyConfig:
    """The content of ``config.yaml``."""

    schema: Literal["vla/policy/1"]
    name: str
    family: str
    network: Mapping[str, Any]
    """the family's hyper-parameters"""
    spec: PolicySpec
    normalisation: Mapping[str, Normalisation]
    """by camera role, proprioception group, and ``action``"""
    provenance: Provenance
    embodiment: Embodiment
    """a copy of the robot's description that the policy was trained with"""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A policy's configuration and its weights by our names.

    Attributes:
        config: all but the weights.
        weights: all that the network has.
        untrained: of these, what its file lacked, where that was allowed (``tolerance``).
        left_out: and what its file has more.
    """

    config: PolicyConfig
    weights: Mapping[str, Tensor]
    untrained: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def pipeline(self) -> Pipeline:
        """What surrounds the network."""
        return Pipeline(self.config.spec, self.config.embodiment, self.config.normalisation, self.config.name)

    def network(self) -> nn.Module:
        """The network with these weights, ready to infer. It shares them with the checkpoint: to train it, copy it.

        Raises:
            CheckpointError: the weights do not fit the configuration, or are not finite.
        """
        name = self.config.name
        require_finite(self.weights, name)
        network = self.skeleton()
        give(network, self.weights, name)
        return network.eval()

    def skeleton(self) -> nn.Module:
        """The network without its numbers (on torch's device ``meta``): made at once, to ask it for its sizes."""
        with torch.device("meta"):
            return build_network(self.config.family, self.config.network, self.pipeline().shape, self.config.name)


def read_checkpoint(folder: Path | str) -> Checkpoint:
    """Reads a checkpoint folder.

    Raises:
        CheckpointError: it is not such a folder, or its weights cannot be read.
        ConfigError: one line for every key of its ``config.yaml`` that is wrong, missing or unknown.
    """
    return Checkpoint(read_config(folder), read_weights(Path(folder) / WEIGHTS_FILE))


def read_config(folder: Path | str) -> PolicyConfig:
    """Reads only the configuration of a checkpoint folder. Raises as :func:`read_checkpoint`."""
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: expected a policy's folder with {CONFIG_FILE} and {WEIGHTS_FILE} ('vla policies convert' makes one of "
            f"a checkpoint of LeRobot or of the original ACT){_there(Path(folder))}"
        )
    read = config.load(PolicyConfig, path)
    check_embodiment(read.embodiment, f"{path}: embodiment")
    return dataclasses.replace(read, network=own_files.found(Path(folder), read.family, read.network))


def write_checkpoint(folder: Path | str, checkpoint: Checkpoint, same_weights: Sequence[Path] = ()) -> None:
    """Writes a checkpoint folder, which is made if need be. Each file is replaced only when the new one is complete.

    Args:
        folder: where to.
        checkpoint: what.
        same_weights: another folder, if one was just written with the same weights: they are not kept twice.

    Raises:
        CheckpointError: a weight is not finite, a file that goes with it is not there, or one cannot be written.
    """
    folder = Path(folder)
    require_finite(checkpoint.weights, checkpoint.config.name)
    partial = folder / (CONFIG_FILE + ".partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        network = own_files.kept(folder, checkpoint.config.family, checkpoint.config.network)
        text = yaml.safe_dump(
            {**config.to_mapping(checkpoint.config), "network": network},
            sort_keys=False,
            default_flow_style=None,
            width=120,
            allow_unicode=True,
        )
        if not (same_weights and _linked(same_weights[0] / WEIGHTS_FILE, folder / WEIGHTS_FILE)):
            write_weights(folder / WEIGHTS_FILE, checkpoint.weights)
        partial.write_text(_HEADER + text)
        os.replace(partial, folder / CONFIG_FILE)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written ({error.strerror or error})") from error


def _linked(file: Path, path: Path) -> bool:
    """Makes the path a second name of a file; False where the disk has no such names."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(file, partial)
    except OSError:
        return False
    os.replace(partial, path)
    partial.unlink(missing_ok=True)  # replacing a name by one of the same file leaves both
    return True


def weights_digest(path: Path) -> str:
    """Eight hexadecimal digits of the SHA-256 of a file of weights: tells checkpoints of one name apart."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()[:8]


def _there(folder: Path) -> str:
    if not folder.is_dir():
        return ", found no folder"
    return f", found {sorted(path.name for path in folder.iterdir())}"
