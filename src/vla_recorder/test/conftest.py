"""Small episodes as fixtures: see test/episodes_made.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from episodes_made import assert_same, small_embodiment, write_small

from vla_core.embodiment import Embodiment


@pytest.fixture
def small() -> Callable[..., Path]:
    """Writes small episodes: :func:`write_small`."""
    return write_small


@pytest.fixture
def embodied() -> Callable[..., Embodiment]:
    """Makes small embodiments: :func:`small_embodiment`."""
    return small_embodiment


@pytest.fixture
def same() -> Callable[..., None]:
    """Compares two episodes: :func:`assert_same`."""
    return assert_same
