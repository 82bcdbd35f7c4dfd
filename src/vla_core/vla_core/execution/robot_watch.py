"""Whether the robot does what it is told: its joint states come, its controller is active, the arm is where it should be."""

from __future__ import annotations

import numpy as np

from vla_core.embodiment import Embodiment
from vla_core.execution.faults import Fault, FaultName
from vla_core.execution.joint_jump import JointJump
from vla_core.motion.polynomial import Array

_MS = 1_000_000


class RobotWatch:
    """Watches an armed robot.

    The tracking error is what the controller itself measures, between its reference and the arm. Beyond the embodiment's
    ``max_tracking_error`` something holds the arm, and to go on would press harder; a controller that is left to find that out
    gives up the path and commands the measured position at once, which is a jump.

    Args:
        embodiment: names of the joints, and the safety settings.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        self._names = embodiment.joint_names
        self._safety = embodiment.safety
        self._controller = embodiment.arm.name
        self._reports = embodiment.arm.kind == "joint_trajectory"
        self._jump = JointJump(embodiment)
        self._wrong: Fault | None = None  # with the joint states since it began
        self._measured_ns = self._reported_ns = 0
        self._error: Array | None = None
        self._feedback: Array | None = None

    def begin(self, now_ns: int) -> None:
        """From now on, everything is due."""
        self._measured_ns = self._reported_ns = now_ns
        self._error = self._wrong = None

    def measured(self, position: Array, stamp_ns: int, now_ns: int) -> None:
        """Takes a joint state: positions (n,) [rad or m], their stamp and when they came [ns]."""
        self._measured_ns = now_ns
        self._wrong = self._jump.note(position, stamp_ns) or self._wrong

    def malformed(self, reason: str) -> None:
        """A joint state has come that does not hold what is declared."""
        self._wrong = self._wrong or Fault(FaultName.JOINT_STATES_MALFORMED, reason)

    def reported(self, reference: Array, feedback: Array, now_ns: int) -> None:
        """Takes what the controller says: where it wants the arm, and where it measures it, each (n,) [rad or m]."""
        self._error, self._feedback = reference - feedback, feedback
        self._reported_ns = now_ns

    def check(self, now_ns: int) -> Fault | None:
        """What is wrong now; None when all is well."""
        if self._wrong is not None:
            return self._wrong
        silent_ms = (now_ns - self._measured_ns) / _MS
        if silent_ms > self._safety.joint_state_timeout_ms:
            return Fault(
                FaultName.JOINT_STATES_GONE,
                f"no joint states for {silent_ms:.0f} ms, expected at most {self._safety.joint_state_timeout_ms:.0f} ms",
            )
        silent_ms = (now_ns - self._reported_ns) / _MS
        if self._reports and silent_ms > self._safety.controller_timeout_ms:
            return Fault(
                FaultName.CONTROLLER_INACTIVE,
                f"nothing from the controller '{self._controller}' for {silent_ms:.0f} ms, expected it to be active",
            )
        return self._left(self._error) if self._error is not None else None

    def _left(self, error: Array) -> Fault | None:
        worst = int(np.argmax(np.abs(error)))
        limit = self._safety.max_tracking_error
        if not abs(error[worst]) > limit:
            return None
        return Fault(
            FaultName.TRACKING_ERROR,
            f"{self._names[worst]} is {abs(error[worst]):.3f} from where it is commanded, expected at most {limit}; "
            "something holds the arm",
            self._feedback,
        )
