"""What success rates say."""

from __future__ import annotations

import math


def wilson_interval(successes: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson score interval of a success rate, 95 % by default.

    Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927).

    Returns:
        Lower and upper end, each in [0, 1]; (0, 1) without trials.
    """
    if trials == 0:
        return 0.0, 1.0
    rate = successes / trials
    scale = 1.0 + z**2 / trials
    middle = (rate + z**2 / (2 * trials)) / scale
    half = z * math.sqrt(rate * (1.0 - rate) / trials + z**2 / (4 * trials**2)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def paired_p_value(only_first: int, only_second: int) -> float:
    """How probable it is that two which are equally good differ in the same worlds at least as much as they did.

    Source: Q. McNemar, "Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages",
    Psychometrika 12 (1947); the exact form: a sign test of the worlds in which only one of them succeeded.

    Args:
        only_first: worlds in which the first one succeeded and the second one did not.
        only_second: the other way round.

    Returns:
        Two-sided, in (0, 1]; 1 where they never differ.
    """
    differing = only_first + only_second
    tail = sum(math.comb(differing, count) for count in range(min(only_first, only_second) + 1))
    return min(1.0, 2.0 * tail / 2.0**differing)
