"""What a training run learns from: batches of every step, and windows of other episodes to validate on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vla_core.episodes import EpisodeReader
from vla_core.errors import EpisodeError
from vla_policies.batch import NetworkInputs, NetworkTargets
from vla_policies.data import EpisodeDataset, Window, WindowSpec
from vla_policies.families import require_family
from vla_policies.normalisation import Normalisation
from vla_policies.pipeline import Pipeline
from vla_policies.spec import PolicySpec
from vla_policies.training.augmentation import augment, shift_images
from vla_policies.training.config import TrainConfig
from vla_policies.training.embodiments import by_embodiment, require_multiple, shares
from vla_policies.training.optimisation import ShuffledRows
from vla_policies.training.processes import Processes
from vla_policies.training.statistics import normalisation_of

_GIB = 2**30


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Demonstrations, split by episode, and the way from their windows to network tensors.

    Attributes:
        demonstrations: windows of all episodes.
        normalisation: from all episodes, by key.
        pipeline: what surrounds the network.
        training_rows: windows that are trained on, in their order.
        validation_rows: windows that are validated on; may be empty.
    """

    config: TrainConfig
    demonstrations: EpisodeDataset
    normalisation: Mapping[str, Normalisation]
    pipeline: Pipeline
    training_rows: ShuffledRows
    validation_rows: NDArray[np.intp]

    def batch(self, step: int, processes: Processes) -> tuple[NetworkInputs, NetworkTargets]:
        """This process's part of the augmented batch of a training step. It depends on the seed and the step only."""
        augmentation, device = self.config.augmentation, processes.device
        rng = np.random.default_rng(processes.own([self.config.optimisation.seed, step, 1]))
        window = self.demonstrations.window(self.training_rows.at(step)[processes.rank :: processes.count])
        images = {role: shift_images(image, augmentation.shift_px, rng) for role, image in window.last_images.items()}
        inputs = self.pipeline.inputs(images, window.last_proprioception, device, window.prompts)
        return augment(inputs, augmentation, rng), self.targets(window, device)

    def targets(self, window: Window, device: torch.device) -> NetworkTargets:
        """What a network is to output for a window."""
        return self.pipeline.targets(window.actions, window.last_proprioception, window.action_is_pad, device)

    def validation_windows(self) -> Iterator[Window]:
        """The windows of the validation episodes, in batches."""
        size = self.config.optimisation.batch_size
        for start in range(0, len(self.validation_rows), size):
            yield self.demonstrations.window(self.validation_rows[start : start + size])


def read_parts(config: TrainConfig, episodes: Sequence[Path], processes: Processes) -> dict[str, TrainingData]:
    """Reads the episodes of a run, by embodiment: of one, or of those that the preset names.

    Raises:
        EpisodeError: no episodes, one that cannot be read, or none of an embodiment that the preset names.
        EmbodimentMismatch: episodes of other embodiments, or of one that lacks what the preset needs.
        ConfigError: a batch cannot be shared out.
    """
    what = f"preset '{config.name}'"
    size = config.optimisation.batch_size
    if not config.embodiments:
        require_multiple(size, processes.count, f"{what}: optimisation.batch_size")
        data = read_training_data(config, episodes)
        return {data.pipeline.embodiment.name: data}
    sizes = shares(size, {name: part.weight for name, part in config.embodiments.items()}, processes.count, what)
    by_name = by_embodiment(episodes, list(config.embodiments), what)
    return {name: read_training_data(config.part(name, sizes[name]), by_name[name]) for name in config.embodiments}


def read_training_data(config: TrainConfig, episodes: Sequence[Path]) -> TrainingData:
    """Reads the episodes of a run. The first one says which robot it is.

    Raises:
        EpisodeError: no episodes, or one that cannot be read.
        EmbodimentMismatch: the episodes are of different robots, or of one that lacks what the preset needs.
    """
    if not episodes:
        raise EpisodeError("expected at least one episode to train on, found none")
    with EpisodeReader(episodes[0]) as reader:
        embodiment = reader.info.metadata.embodiment
    spec = config.spec_for(embodiment)
    demonstrations = EpisodeDataset(episodes, windows_for(spec), memory_limit_bytes=config.data.memory_limit_gib * _GIB)
    family = require_family(config.family, f"preset '{config.name}'")
    normalisation = normalisation_of(demonstrations, spec, embodiment, family.state_scheme, family.action_scheme)
    optimisation = config.optimisation
    training, validation = split_episodes(len(episodes), config.data.validation_share, optimisation.seed)
    return TrainingData(
        config=config,
        demonstrations=demonstrations,
        normalisation=normalisation,
        pipeline=Pipeline(spec, embodiment, normalisation, f"preset '{config.name}'"),
        training_rows=ShuffledRows(demonstrations.indices_of(training), optimisation.batch_size, optimisation.seed),
        validation_rows=_evenly(demonstrations.indices_of(validation), config.data.validation_windows),
    )


def windows_for(spec: PolicySpec) -> WindowSpec:
    """The windows that a policy learns from. ``qpos`` is among them, because actions may refer to it."""
    groups = tuple(dict.fromkeys(("qpos", *spec.proprioception)))
    return WindowSpec(horizon=spec.action_horizon, cameras=spec.cameras, proprioception=groups)


def split_episodes(count: int, validation_share: float, seed: int) -> tuple[list[int], list[int]]:
    """Places of the episodes to train and to validate on, drawn at random. A single episode is trained on."""
    order = np.random.default_rng([seed, 0, 2]).permutation(count)
    held_out = min(count - 1, max(1, round(validation_share * count))) if validation_share else 0
    return sorted(order[held_out:].tolist()), sorted(order[:held_out].tolist())


def _evenly(rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """At most ``count`` of the rows, at even distances."""
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.intp)]
