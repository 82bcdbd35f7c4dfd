"""Errors of this package beside those of vla_core."""

from vla_core.errors import VlaError


class TrainingError(VlaError):
    """A training run cannot be started, resumed or gone on with."""
