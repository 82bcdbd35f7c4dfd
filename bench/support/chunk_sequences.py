"""Sequences of chunks that try to make an arm break its limits; each is the same again for the same seed and number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.embodiment import JointLimits
from vla_core.motion.polynomial import Array

_MS = 1_000_000
_RATES_HZ = (1, 5, 10, 15, 30, 50, 100, 200)
_CONTROL_RATES_HZ = (100.0, 100.0, 250.0, 1000.0)
_CHUNKS_END_NS = 1500 * _MS  # no chunk arrives later
_LONGEST_NS = 1500 * _MS  # actions later than this after the arrival are cut off, so that a sequence ends


@dataclass(frozen=True, eq=False)
class Case:
    """One sequence.

    Attributes:
        kind, timing: what the actions and their times are like.
        start: (n,) where the arm stands at first [rad].
        chunks: with their times of arrival [ns], in order of arrival.
        holds: spans in which a stop is asked for [ns].
        speeds: (time [ns], share) at which the speed is asked for.
        control_rate_hz: of the ticks.
        ensembling: temporal ensembling instead of receding horizon.
        roughness: of the curves through the chunks.
        seed: for delays of ticks and deliveries.
    """

    kind: str
    timing: str
    start: Array
    chunks: list[tuple[int, ActionChunk]]
    holds: list[tuple[int, int]]
    speeds: list[tuple[int, float]]
    control_rate_hz: float
    ensembling: bool
    roughness: float
    seed: int


def case(limits: JointLimits, names: tuple[str, ...], seed: int, number: int) -> Case:
    """Sequence ``number`` of a seed, for joints with these limits and actions with these names (the last is the gripper)."""
    random = np.random.default_rng([seed, number])
    kind = list(_KINDS)[number % len(_KINDS)]
    timing = str(random.choice(_TIMINGS))
    start = _start(limits, random)
    chunks = []
    rate_hz = float(random.choice(_RATES_HZ))
    arrivals = _arrivals(timing, rate_hz, random)
    actions_of = _KINDS[kind](limits, start, random)
    for sequence, (arrival_ns, begin_ns, horizon) in enumerate(arrivals):
        step_ns = round(1e9 / rate_hz)
        times_s = np.asarray((begin_ns + step_ns * np.arange(horizon)) * 1e-9, dtype=np.float64)
        actions = np.column_stack([actions_of(times_s), random.uniform(-1.0, 1.0, horizon)])
        chunks.append((arrival_ns, ActionChunk(actions, names, begin_ns, step_ns, begin_ns, "bench", sequence)))
    chunks.sort(key=lambda pair: pair[0])
    holds = [
        (at, at + int(random.integers(1, 400)) * _MS) for at in random.integers(0, 1500, random.integers(0, 3)) * _MS
    ]
    speeds = [
        (int(at) * _MS, float(random.choice([0.3, 0.5, 0.8, 1.0])))
        for at in sorted(random.integers(0, 1500, random.choice([0, 0, 2])))
    ]
    return Case(
        kind,
        timing,
        start,
        chunks,
        holds,
        speeds,
        float(random.choice(_CONTROL_RATES_HZ)),
        bool(random.random() < 0.3),
        float(random.choice([0.0, 1.0, 5.0])),
        int(random.integers(2**31)),
    )


# -- when ----------------------------------------------------------------------------------------------------------------

_TIMINGS = ("regular", "late", "early", "overlapping", "unordered", "gaps", "reversed", "twice", "single")


def _arrivals(timing: str, rate_hz: float, random: np.random.Generator) -> list[tuple[int, int, int]]:
    """(arrival [ns], time of the first action [ns], number of actions) of each chunk."""
    step_ns = 1e9 / rate_hz
    longest = max(2, min(100, round(_LONGEST_NS / step_ns)))
    period_ns = int(random.integers(30, 500)) * _MS
    arrivals = []
    at_ns = int(random.integers(0, 100)) * _MS
    while at_ns < _CHUNKS_END_NS:
        horizon = 1 if timing == "single" else int(random.integers(1, longest + 1))
        behind_ns = int(random.integers(0, 80)) * _MS
        if timing == "late":
            behind_ns = int(random.integers(0, max(2, round(horizon * step_ns / _MS)))) * _MS
        elif timing == "early":
            behind_ns = -int(random.integers(0, 300)) * _MS
        arrivals.append((at_ns, at_ns - behind_ns, horizon))
        if timing == "twice":
            arrivals.append((at_ns + _MS, at_ns - behind_ns, horizon))
        if timing == "gaps":
            at_ns += int(horizon * step_ns) + int(random.integers(0, 400)) * _MS
        elif timing == "overlapping":
            at_ns += int(random.integers(5, 60)) * _MS
        else:
            at_ns += period_ns
    if timing in ("unordered", "reversed"):
        begins = [begin for _, begin, _ in arrivals]
        begins = begins[::-1] if timing == "reversed" else [begins[k] for k in random.permutation(len(begins))]
        arrivals = [(at, begin, horizon) for (at, _, horizon), begin in zip(arrivals, begins, strict=True)]
    return arrivals


def _start(limits: JointLimits, random: np.random.Generator) -> Array:
    """Anywhere inside the position limits; in one of four sequences some joints exactly at them."""
    start = random.uniform(limits.position_min, limits.position_max)
    if random.random() < 0.75:
        return np.asarray(np.clip(start, limits.position_min + 0.03, limits.position_max - 0.03))
    which = random.random(len(start))
    start = np.where(which < 0.05, limits.position_min, start)
    return np.where(which > 0.95, limits.position_max, start)


# -- what ----------------------------------------------------------------------------------------------------------------

Actions = Callable[[Array], Array]
Kind = Callable[[JointLimits, Array, np.random.Generator], Actions]


def _anywhere(limits: JointLimits, random: np.random.Generator, beyond: float, count: int | None = None) -> Array:
    span = limits.position_max - limits.position_min
    size = None if count is None else (count, len(span))
    anywhere = random.uniform(limits.position_min, limits.position_max, size)
    # one joint in ten out of its range: an arm that is asked for nothing else stands, and shows nothing
    outside = random.uniform(limits.position_min - beyond * span, limits.position_max + beyond * span, size)
    return np.asarray(np.where(random.random(anywhere.shape) < 0.1, outside, anywhere))


def _constant(limits: JointLimits, start: Array, random: np.random.Generator) -> Actions:
    where = start + random.choice([0.0, 1e-6, 0.05]) * random.normal(size=len(start))
    return lambda times: np.tile(where, (len(times), 1))


def _jumps(beyond: float) -> Kind:
    """Each chunk somewhere else."""
    return lambda limits, start, random: lambda times: np.tile(_anywhere(limits, random, beyond), (len(times), 1))


def _scattered(beyond: float) -> Kind:
    """Each action somewhere else."""
    return lambda limits, start, random: lambda times: _anywhere(limits, random, beyond, len(times))


def _steps_at_limits(limits: JointLimits, start: Array, random: np.random.Generator) -> Actions:
    def actions(times: Array) -> Array:
        high = random.random((len(times), len(start))) < random.choice([0.0, 0.5, 1.0])
        before = random.choice([0.0, 0.004, 0.03])
        return np.asarray(np.where(high, limits.position_max - before, limits.position_min + before))

    return actions


def _extremes(limits: JointLimits, start: Array, random: np.random.Generator) -> Actions:
    def actions(times: Array) -> Array:
        size = 10.0 ** random.uniform(-300, 300, (len(times), len(start)))
        usual = np.tile(_anywhere(limits, random, 0.0), (len(times), 1))
        return np.where(random.random(size.shape) < random.choice([0.0, 0.01, 1.0]), size, usual)

    return actions


def _ramps(fastest: float) -> Kind:
    """Straight on, up to so many times the velocity limit, whatever the position limits are."""

    def kind(limits: JointLimits, start: Array, random: np.random.Generator) -> Actions:
        velocity = random.uniform(-fastest, fastest, len(start)) * limits.velocity
        return lambda times: start + velocity * np.maximum(times, 0.0)[:, None]

    return kind


def _into_limit(limits: JointLimits, start: Array, random: np.random.Generator) -> Actions:
    """As fast as the arm may, out of the range of one joint or of all."""
    velocity = limits.velocity * random.choice([-1.0, 1.0], len(start))
    if random.random() < 0.5:
        velocity *= np.eye(len(start))[random.integers(len(start))]
    ramp_s = 2.0 * limits.velocity / limits.acceleration
    return lambda times: (
        start
        + velocity
        * (np.where(times[:, None] < ramp_s, times[:, None] ** 2 / (2 * ramp_s), times[:, None] - ramp_s / 2))
    )


def _nyquist(limits: JointLimits, start: Array, random: np.random.Generator) -> Actions:
    amplitude = float(10.0 ** random.uniform(-4, 0.5))
    return lambda times: start + amplitude * ((np.arange(len(times)) % 2)[:, None] - 0.5)


def _sine(noise: float, offset: float) -> Kind:
    """A movement that an arm can do, with noise of each action and an offset of each chunk [rad]."""

    def kind(limits: JointLimits, start: Array, random: np.random.Generator) -> Actions:
        low, high = limits.position_min + 0.3, limits.position_max - 0.3
        middle = np.clip(start, low, high)
        amplitude, hz = random.uniform(0.02, 0.3, len(start)), random.uniform(0.1, 1.0, len(start))

        def actions(times: Array) -> Array:
            wave = middle + amplitude * np.sin(2 * np.pi * hz * times[:, None])
            return np.asarray(wave + random.normal(size=wave.shape) * noise + random.normal(size=len(start)) * offset)

        return actions

    return kind


def _walk(limits: JointLimits, start: Array, random: np.random.Generator) -> Actions:
    scale = float(10.0 ** random.uniform(-4, 0))
    return lambda times: start + np.cumsum(random.normal(scale=scale, size=(len(times), len(start))), axis=0)


def _along_limit(limits: JointLimits, start: Array, random: np.random.Generator) -> Actions:
    """To and fro across a position limit, where the FR3's velocity limit goes to zero."""
    edge = np.where(random.random(len(start)) < 0.5, limits.position_min, limits.position_max)
    amplitude, hz = random.uniform(0.001, 0.5), random.uniform(0.1, 2.0)
    return lambda times: edge + amplitude * np.sin(2 * np.pi * hz * times[:, None])


_KINDS: dict[str, Kind] = {
    "constant": _constant,
    "jumps_within": _jumps(0.0),
    "jumps_beyond": _jumps(1.0),
    "scattered_within": _scattered(0.0),
    "scattered_beyond": _scattered(3.0),
    "steps_at_limits": _steps_at_limits,
    "extremes": _extremes,
    "ramps": _ramps(1.0),
    "ramps_too_fast": _ramps(50.0),
    "into_limit": _into_limit,
    "nyquist": _nyquist,
    "tiny_noise": _sine(1e-4, 0.0),
    "clean": _sine(0.0, 0.0),
    "chunk_jumps": _sine(2e-3, 1e-2),
    "noisy": _sine(5e-2, 5e-2),
    "walk": _walk,
    "along_limit": _along_limit,
}
