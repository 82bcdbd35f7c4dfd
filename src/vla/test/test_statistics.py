"""What success rates say, against values worked out by hand."""

from __future__ import annotations

import pytest

from vla.statistics import paired_p_value, wilson_interval


def test_an_interval_is_wilsons() -> None:
    assert wilson_interval(18, 20) == pytest.approx((0.6990, 0.9721), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("only_first", "only_second", "expected"),
    [(0, 0, 1.0), (2, 1, 1.0), (3, 3, 1.0), (0, 5, 0.0625), (1, 8, 20 / 512)],
)
def test_a_paired_difference_is_a_two_sided_sign_test(only_first: int, only_second: int, expected: float) -> None:
    assert paired_p_value(only_first, only_second) == pytest.approx(expected)
    assert paired_p_value(only_second, only_first) == pytest.approx(expected)
