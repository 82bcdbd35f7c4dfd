"""A joint that is measured where it cannot have got to."""

from __future__ import annotations

import numpy as np

from vla_core.embodiment import Embodiment
from vla_core.execution.faults import Fault, FaultName
from vla_core.motion.polynomial import Array

_FASTER = 1.5  # times the velocity limit, in case stamps have jitter
_NOISE = 0.02  # and so much more, for the noise of two measurements [rad or m]
_LONGEST_NS = 1_000_000_000  # after a gap of this length a joint may be anywhere


class JointJump:
    """Compares each joint state with the one before.

    Between two of them a joint moves by its velocity limit times the time between their stamps, at the most. More than that is
    an encoder that slips, a driver that was restarted, or another robot's message.

    Args:
        embodiment: names of the joints and their velocity limits.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        self._names = embodiment.joint_names
        self._velocity = np.array([joint.velocity for joint in embodiment.joints])
        self._position: Array | None = None
        self._stamp_ns = 0

    def note(self, position: Array, stamp_ns: int) -> Fault | None:
        """Takes a joint state (n,) [rad or m] and its stamp [ns]; returns the fault if it cannot be."""
        before, since_ns = self._position, stamp_ns - self._stamp_ns
        self._position, self._stamp_ns = position, stamp_ns
        if before is None or not 0 <= since_ns < _LONGEST_NS:
            return None  # whether they come, and their clock, is watched elsewhere
        change = position - before
        possible = self._velocity * (since_ns * 1e-9 * _FASTER) + _NOISE
        worst = int(np.argmax(np.abs(change) / possible))
        if abs(change[worst]) <= possible[worst]:
            return None
        return Fault(
            FaultName.JOINT_JUMP,
            f"{self._names[worst]} went by {change[worst]:.3f} within {since_ns * 1e-6:.1f} ms, expected at most "
            f"{possible[worst]:.3f}",
        )
