"""A stream of chunks as a policy gives them, with noise and chunks that do not agree; and linear interpolation of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_core.action_chunk import ActionChunk
from vla_core.embodiment import JointLimits
from vla_core.motion.polynomial import Array

STEP_NS = 20_000_000  # 50 Hz
ACTION_HORIZON = 50
EXECUTION_HORIZON = 25
_DELAY_NS = 60_000_000  # a chunk arrives so long after its first action's time


@dataclass(frozen=True, eq=False)
class Stream:
    """Chunks that follow one movement.

    Attributes:
        chunks: with their times of arrival [ns].
        amplitude, hz, phase: (waves, n) of the movement, a sum of sines [rad, Hz, rad].
        middle: (n,) around which they are [rad].
    """

    chunks: list[tuple[int, ActionChunk]]
    amplitude: Array
    hz: Array
    phase: Array
    middle: Array

    def movement(self, times_s: Array) -> Array:
        """(k, n) what is really meant at times (k,) [rad]."""
        turns = 2.0 * np.pi * self.hz * times_s[:, None, None] + self.phase
        return np.asarray(self.middle + (self.amplitude * np.sin(turns)).sum(axis=1))

    def linear(self, times_ns: NDArray[np.int64]) -> Array:
        """(k, n) the newest chunk at times (k,), positions only: straight lines between its actions [rad]."""
        arrivals = np.array([at_ns for at_ns, _ in self.chunks])
        newest = np.maximum(np.searchsorted(arrivals, times_ns, side="right") - 1, 0)
        positions = np.empty((len(times_ns), len(self.middle)))
        for number in np.unique(newest):
            chunk, rows = self.chunks[number][1], newest == number
            for joint in range(len(self.middle)):
                positions[rows, joint] = np.interp(times_ns[rows], chunk.times_ns(), chunk.actions[:, joint])
        return positions


def stream(
    limits: JointLimits, names: tuple[str, ...], seconds: float, chunk_jump: float, knot_noise: float, seed: int
) -> Stream:
    """Makes a stream.

    Args:
        limits: of the joints; the movement stays well inside of them.
        names: of the actions; the last one is the gripper.
        seconds: length [s].
        chunk_jump, knot_noise: standard deviation of a chunk's offset, and of each action [rad].
        seed: of all of it.
    """
    random = np.random.default_rng(seed)
    joints = len(limits.velocity)
    middle = (limits.position_min + limits.position_max) / 2.0
    amplitude, hz = random.uniform(0.05, 0.15, (2, joints)), random.uniform(0.1, 0.5, (2, joints))
    made = Stream([], amplitude, hz, random.uniform(0, 2 * np.pi, (2, joints)), middle)
    for sequence, start_ns in enumerate(range(0, round(seconds * 1e9), EXECUTION_HORIZON * STEP_NS)):
        times_s = np.asarray((start_ns + STEP_NS * np.arange(ACTION_HORIZON)) * 1e-9, dtype=np.float64)
        actions = made.movement(times_s) + chunk_jump * random.normal(size=joints)
        actions += knot_noise * random.normal(size=actions.shape)
        whole = np.column_stack([actions, np.zeros(ACTION_HORIZON)])
        chunk = ActionChunk(whole, names, start_ns, STEP_NS, start_ns, "bench", sequence)
        made.chunks.append((start_ns + (_DELAY_NS if sequence else 0), chunk))
    return made
