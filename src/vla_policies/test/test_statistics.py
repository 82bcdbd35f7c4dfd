"""Statistics of demonstrations for each kind of scheme."""

from __future__ import annotations

import numpy as np
import pytest

from vla_policies.normalisation import SCHEMES, Normalisation
from vla_policies.training.statistics import SMALLEST_STD, scheme_stats

VALUES = np.random.default_rng(0).normal(size=(1000, 2)) * (0.5, 2.0)


@pytest.mark.parametrize(
    "scheme", [name for name, scheme in SCHEMES.items() if scheme.needs and name != "groot_binary"]
)
def test_every_scheme_gets_what_it_needs_and_undoes_itself(scheme) -> None:
    normalisation = Normalisation(scheme, scheme_stats(VALUES, ["rad", "m"], scheme))
    middle = np.abs(VALUES) < (0.5, 2.0)  # no scheme cuts these off
    there_and_back = normalisation.inverse(normalisation.forward(VALUES))
    np.testing.assert_allclose(there_and_back[middle], VALUES[middle], atol=1e-6)


def test_what_is_on_or_off_stays_so() -> None:
    on_or_off = (VALUES > 0).astype(float)
    normalisation = Normalisation("groot_binary", scheme_stats(on_or_off, ["1", "1"], "groot_binary"))
    np.testing.assert_array_equal(normalisation.inverse(normalisation.forward(on_or_off)), on_or_off)


def test_bounds_are_the_smallest_and_the_largest() -> None:
    normalised = Normalisation("oft_bounds", scheme_stats(VALUES, ["rad", "m"], "oft_bounds")).forward(VALUES)
    np.testing.assert_allclose([normalised.min(axis=0), normalised.max(axis=0)], [[-1, -1], [1, 1]], atol=1e-6)


def test_what_stood_still_is_not_blown_up() -> None:
    stats = scheme_stats(np.full((10, 2), 0.02), ["rad", "m"], "oft_bounds")
    np.testing.assert_allclose(np.subtract(stats.max, stats.min), [4 * SMALLEST_STD["rad"], 4 * SMALLEST_STD["m"]])
    np.testing.assert_allclose(Normalisation("oft_bounds", stats).forward(np.array([0.02, 0.02])), 0.0, atol=1e-5)
