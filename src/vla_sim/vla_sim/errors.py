"""Errors of the simulator."""

from __future__ import annotations

from vla_core.errors import VlaError


class SimulationError(VlaError):
    """The simulated world cannot do what it was asked: no such camera or object, no way to render, a model that does not fit."""
