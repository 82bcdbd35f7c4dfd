"""Policies: families of networks, their checkpoints, normalisation and training. The only package that uses torch."""

import vla_policies.openmp  # noqa: F401  must come before everything that imports torch

from vla_policies.description import describe  # isort: skip
from vla_policies.loading import load  # isort: skip

__all__ = ["describe", "load"]
