"""Errors of this package beside those of vla_core."""

from vla_core.errors import CheckpointError, VlaError


class TrainingError(VlaError):
    """A training run cannot be started, resumed or gone on with."""


class MissingInformation(CheckpointError):
    """A foreign checkpoint does not say something that whoever reads it must be told."""


class CannotContinue(VlaError):
    """A chunk is to go on from the one that is being executed, from a policy whose chunks cannot."""


class WindowError(VlaError):
    """Windows of episodes are asked for that cannot be, or that these episodes do not have."""
