"""One simulated robot for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guarded import Guarded, guarded


@pytest.fixture(scope="package")
def brought_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("embodiment")) as robot:
        yield robot


@pytest.fixture
def robot(brought_up: Guarded) -> Guarded:
    """The robot in a new world, disarmed, with its wave loaded."""
    brought_up.begin_anew()
    return brought_up
