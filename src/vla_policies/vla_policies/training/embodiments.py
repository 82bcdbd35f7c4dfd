"""Several embodiments in one run: their episodes, their parts of a batch, and one loss of all.

Each embodiment has batches of its own shape. Their losses, put together as here, are those of one batch that is padded to the
largest of all with action masks, as GR00T has it, and head masks, as CrossFormer has it; nothing is computed for padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from vla_core.episodes import EpisodeReader
from vla_core.errors import ConfigError, EmbodimentMismatch, EpisodeError, choice
from vla_policies.batch import NetworkTargets


def by_embodiment(episodes: Sequence[Path], names: Sequence[str], what: str) -> dict[str, list[Path]]:
    """Episodes by the name of their embodiment, in the order of ``names``.

    Raises:
        EpisodeError: there is none of an embodiment.
        EmbodimentMismatch: there is one of another embodiment.
    """
    found: dict[str, list[Path]] = {name: [] for name in names}
    for path in episodes:
        with EpisodeReader(path) as reader:
            name = reader.info.metadata.embodiment.name
        if name not in found:
            raise EmbodimentMismatch(f"{path}: {what} is for the embodiments {choice(names)}, it is of '{name}'")
        found[name].append(path)
    missing = [name for name, paths in found.items() if not paths]
    if missing:
        raise EpisodeError(f"{what}: expected episodes of the embodiments {choice(names)}, found none of {missing}")
    return found


def shares(batch_size: int, weights: Mapping[str, float], processes: int, what: str) -> dict[str, int]:
    """How many samples of a batch are of which embodiment: as the weights say, as nearly as multiples of ``processes`` can.

    Raises:
        ConfigError: the batch is too small or no multiple of the number of processes.
    """
    where = f"{what}: optimisation.batch_size"
    require_multiple(batch_size, processes, where)
    units = batch_size // processes
    if units < len(weights):
        raise ConfigError(
            f"{where}: expected at least {len(weights) * processes}, {processes} for each embodiment, found {batch_size}"
        )
    # one each, and the rest to whoever is furthest below its share
    given = dict.fromkeys(weights, 1)
    total = sum(weights.values())
    for _ in range(units - len(weights)):
        neediest = max(weights, key=lambda name: units * weights[name] / total - given[name])
        given[neediest] += 1
    return {name: count * processes for name, count in given.items()}


def require_multiple(batch_size: int, processes: int, where: str) -> None:
    """Raises ConfigError if a batch cannot be shared equally among processes."""
    if batch_size % processes:
        raise ConfigError(f"{where}: expected a multiple of {processes}, the number of processes, found {batch_size}")


def tie(network: nn.Module, owner: nn.Module, what: str) -> None:
    """Gives a network the parameters of another one. What else differs between them stays.

    Raises:
        ConfigError: they have not the same parameters.
    """
    theirs, ours = (
        {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()} for module in (owner, network)
    )
    if theirs != ours:
        name = next(name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name))
        raise ConfigError(
            f"{what}: network: expected the same weights for all embodiments; '{name}' has the shape {ours.get(name)}, and "
            f"{theirs.get(name)} for the first one"
        )
    for name, module in network.named_modules():
        twin = owner.get_submodule(name)
        module._parameters.update(twin._parameters)
        module._buffers.update(twin._buffers)


def combined(
    losses: Mapping[str, Mapping[str, Tensor]], targets: Mapping[str, NetworkTargets], how: Literal["elements", "sum"]
) -> dict[str, Tensor]:
    """One loss of all embodiments, ``loss``, and their own ones, ``<loss>_<embodiment>``.

    Args:
        losses: of each embodiment by name, means over what counts there.
        targets: what counts.
        how: see ``Optimisation.embodiments_loss``.
    """
    own = torch.stack([parts["loss"] for parts in losses.values()])
    if how == "sum":
        loss = own.sum()
    else:
        counts = torch.stack([(~targets[name].is_pad).sum() * targets[name].actions.shape[-1] for name in losses])
        loss = (own * counts).sum() / counts.sum().clamp_min(1)
    named = {f"{kind}_{name}": value for name, parts in losses.items() for kind, value in parts.items()}
    return {"loss": loss, **named}
