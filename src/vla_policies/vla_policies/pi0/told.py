"""What a checkpoint of pi0 or pi0.5 does not say, and whoever reads it must."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vla_core import config as configuration
from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError, ConfigError
from vla_policies.errors import MissingInformation
from vla_policies.families import hyper_parameters
from vla_policies.normalisation import Normalisation, NormStats
from vla_policies.pi0.keys import VISION_HEADS

# images from 0 to 1 become -1 to 1
IMAGES = Normalisation("act_mean_std", NormStats(mean=(0.5,) * 3, std=(0.5,) * 3))


@dataclass(frozen=True)
class Pi0Told:
    """What is known about a checkpoint beside its files.

    Attributes:
        tokenizer: ``paligemma_tokenizer.model``, which checkpoints do not hold.
        action_reference: of openpi's: ``absolute``, or ``qpos`` if it was trained with DeltaActions. LeRobot says it.
        absolute_actions: with ``qpos``, names of actions that are absolute all the same, mostly grippers.
        state_input: of openpi's pi0.5: ``text``, or ``none`` if ``discrete_state_input`` was False, as of pi05_libero.
        asset: of openpi's: the folder under ``assets`` with the statistics, if there are several.
        default_prompt: for observations that have none.
        vision_heads: of SigLIP; 16 of every published one.
    """

    tokenizer: Path | None = None
    action_reference: Literal["absolute", "qpos"] | None = None
    absolute_actions: tuple[str, ...] = ()
    state_input: Literal["text", "none"] | None = None
    asset: str = ""
    default_prompt: str = ""
    vision_heads: int = VISION_HEADS

    def require(self, where: str, **asked: str) -> None:
        """Raises MissingInformation if one of these attributes is not told; each comes with what it is, in words."""
        missing = [f"{name} ({question})" for name, question in asked.items() if getattr(self, name) is None]
        if missing:
            raise MissingInformation(f"{where}: does not say everything; expected to be told " + ", ".join(missing))


NOTHING_TOLD = Pi0Told()


def checked_network(family: str, data: dict[str, object], where: str) -> dict[str, object]:
    """Hyper-parameters as plain data, complete. Raises CheckpointError if no network of ours has them."""
    try:
        return configuration.to_mapping(hyper_parameters(family, data, where))
    except ConfigError as error:
        raise CheckpointError(str(error)) from error


def require_references(embodiment: Embodiment, relative: tuple[bool, ...], where: str) -> tuple[str, ...]:
    """Names of the actions that are absolute, of a policy whose other actions are relative to the state in the same place.

    Raises:
        CheckpointError: another value than an action's own position is in that place.
    """
    names, positions = embodiment.action_names, embodiment.names_of(embodiment.proprioception["qpos"])
    for index, (name, is_relative) in enumerate(zip(names, relative, strict=True)):
        if is_relative and (index >= len(positions) or positions[index] != name):
            there = positions[index] if index < len(positions) else "nothing"
            raise CheckpointError(
                f"{where}: action '{name}' is relative to place {index} of the state: expected its position there, found {there}"
            )
    return tuple(name for name, is_relative in zip(names, relative, strict=True) if not is_relative)
