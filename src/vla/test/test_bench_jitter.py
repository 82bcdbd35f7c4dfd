"""``./vla bench jitter``: what becomes of rounds."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from bench.support.jitter_rounds import Round, Rounds

pytestmark = pytest.mark.ros


def measured(p99_us: float, stolen: float = 0.0, missed: int = 0) -> Round:
    """A round all of whose commands were equally late."""
    return Round(0, 1, stolen, missed, np.full(100, p99_us), np.full(100, 7.0))


def test_the_ratio_is_the_median_of_the_pairs() -> None:
    pairs = [(measured(100), measured(110)), (measured(100), measured(900)), (measured(50, missed=2), measured(45))]
    figures = Rounds(1000.0, pairs).figures()
    assert figures["p99_ratio_1khz"] == pytest.approx(1.1)
    assert figures["p99_each_us_1khz"] == [(100.0, 110.0), (100.0, 900.0), (50.0, 45.0)]
    assert (figures["missed_idle_1khz"], figures["missed_loaded_1khz"], figures["ticks_1khz"]) == (2, 0, 600)


def test_pairs_of_which_the_host_took_the_most_are_left_out_and_counted() -> None:
    calm, worse = (measured(100, 0.001), measured(120, 0.009)), (measured(80, 0.002), measured(90, 0.004))
    taken_idle, taken_loaded = (measured(500, 0.02), measured(50)), (measured(100), measured(5000, 0.03))
    found = Rounds(100.0, [taken_idle, calm, taken_loaded, worse])
    found.keep_undisturbed(2)
    assert found.pairs == [calm, worse]
    assert found.figures()["pairs_repeated_100hz"] == 2


def test_where_the_host_never_lets_go_as_many_pairs_count_as_were_asked_for() -> None:
    taken = [(measured(100, share), measured(100)) for share in (0.05, 0.02, 0.04)]
    found = Rounds(100.0, list(taken))
    found.keep_undisturbed(2)
    assert found.pairs == taken[1:]
