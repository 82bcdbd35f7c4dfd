"""Configurations that foreign checkpoints amount to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from vla_core import config as configuration
from vla_core.errors import CheckpointError, ConfigError

T = TypeVar("T")


def config_of_foreign(kind: type[T], data: Mapping[str, Any], where: str) -> T:
    """The network's configuration that a foreign checkpoint amounts to.

    Args:
        kind: the family's configuration.
        data: our names to what the checkpoint says.
        where: the checkpoint, for errors.

    Raises:
        CheckpointError: it is of a network that ours cannot be.
    """
    try:
        return configuration.from_mapping(kind, dict(data), where)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
