"""The execution of chunks, as a state machine over plain values.

::

    READY ──arm──▶ ARMED ──chunk──▶ RUNNING ──no more chunks expected──▶ ARMED
                                          └──malformed chunk, silence──▶ FAULT (stops, latched) ──disarm──▶ READY

SHADOW is ARMED and RUNNING together with nothing sent. Every plan that leaves ends at rest, so that silence from this side
stops the arm; a fault plans the stop at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from vla_core.action_chunk import ActionChunk, validate_chunk
from vla_core.chunking.curve import Reference
from vla_core.embodiment import Embodiment, JointLimits
from vla_core.errors import ChunkDiscarded, ChunkError, EmbodimentMismatch, LimitError
from vla_core.execution.gripper import GripperSwitch
from vla_core.motion.polynomial import Array, State
from vla_core.motion.region import Region
from vla_core.motion.smoother import Smoothed, Smoother
from vla_core.motion.speed import SpeedScaled
from vla_core.ports import ChunkScheduler

_MS = 1_000_000
_FUTURE_NS = 50 * _MS  # clocks of two machines may differ by this much
_STANDING = 0.05  # slower than this is standing still [rad/s or m/s]
_ON_ITS_WAY = 0.25  # share of the lead that a plan may need from here to the controller


class ExecutorState(Enum):
    READY = 1
    SHADOW = 2
    ARMED = 3
    RUNNING = 4
    HOLDING = 5
    FAULT = 6


@dataclass(frozen=True)
class Output:
    """What a tick decided.

    smoothed: the motion; ``smoothed.changed`` says whether it must be sent.
    gripper: new gripper target, to be sent once [m per finger]; None if it stays.
    send: False in shadow mode, where everything is decided and nothing leaves.
    """

    smoothed: Smoothed
    gripper: float | None
    send: bool


@dataclass
class Counters:
    """What happened since arming.

    chunks_refused: all that were not used; chunks_discarded: those of them that came later than they were conditioned on.
    chunks_late: came when nothing was meant any more. ticks_starved: control ticks without a reference while a policy ran.
    """

    chunks_accepted: int = 0
    chunks_refused: int = 0
    chunks_discarded: int = 0
    chunks_late: int = 0
    ticks_starved: int = 0
    plans_withdrawn: int = 0


class Executor:
    """Executes chunks on the arm of an embodiment, by absolute time.

    Args:
        embodiment: limits, action names, safety and motion settings.
        scheduler: the strategy that says what the chunks ask for at a time.
        region: where the arm may be beside its joints' limits; None: anywhere.
    """

    def __init__(self, embodiment: Embodiment, scheduler: ChunkScheduler, region: Region | None = None) -> None:
        """Raises EmbodimentMismatch if the robot's actions are not joint positions."""
        if embodiment.action.kind != "joint_position":
            raise EmbodimentMismatch(
                f"'{embodiment.name}': action.kind: expected joint_position, which is all that can be executed, found "
                f"{embodiment.action.kind}"
            )
        self.state = ExecutorState.READY
        self.message = ""
        self.counters = Counters()
        self.scheduler = SpeedScaled(scheduler)
        self._embodiment = embodiment
        self._limits = JointLimits.of(embodiment)
        self._region = region
        self._joints = slice(0, len(embodiment.joints))
        self._on_its_way_ns = round(_ON_ITS_WAY * embodiment.motion.lead_ms * _MS)
        self._smoother: Smoother | None = None
        self._gripper: GripperSwitch | None = None
        self._shadow = False
        self._chunks_expected = False
        self._starved_since_ns: int | None = None

    @property
    def gripper_target(self) -> float | None:
        """The gripper target that was sent last [m per finger]."""
        return self._gripper.target if self._gripper else None

    def commanded_at(self, time_ns: int) -> State | None:
        """Where the arm is commanded to be at a time (n,); None when disarmed."""
        return self._smoother.plan.state_at(time_ns) if self._smoother else None

    # -- what an operator asks for -----------------------------------------------------------------------------------

    def arm(self, position: Array, velocity: Array, finger: float | None, now_ns: int, shadow: bool) -> None:
        """Begins at rest where the arm stands.

        Args:
            position: (n,) where the controller holds the arm, or where it was measured [rad or m].
            velocity: (n,) measured [rad/s or m/s].
            finger: measured gripper position [m per finger]; None without a gripper.

        Raises:
            LimitError: the arm moves, or stands outside of its limits.
        """
        if self.state is not ExecutorState.READY:
            raise LimitError(f"expected the state READY before arming, found {self.state.name}; disarm first")
        fastest = int(np.argmax(np.abs(velocity)))
        if abs(velocity[fastest]) > _STANDING:
            name = self._embodiment.joint_names[fastest]
            raise LimitError(
                f"expected an arm that stands still before arming, found {name} at {velocity[fastest]:.3f} rad/s "
                f"(at most {_STANDING})"
            )
        self._smoother = Smoother(self._limits, self._embodiment.motion, position, now_ns, self._region)
        self._gripper = GripperSwitch(self._embodiment.gripper, finger) if self._embodiment.gripper else None
        self.scheduler.reset()
        self.counters = Counters()
        self._starved_since_ns = None
        self._shadow = shadow
        self._enter(ExecutorState.SHADOW if shadow else ExecutorState.ARMED, "")

    def stop(self, now_ns: int) -> Output | None:
        """A stop to be sent, as soon as the limits allow; None when disarmed."""
        if self._smoother is None:
            return None
        return Output(self._smoother.stop(now_ns), None, not self._shadow)

    def disarm(self) -> None:
        """Ends. A moving arm is to be told to :meth:`stop` before; it would come to rest by the plan that it has, but later."""
        self._smoother = None
        self._enter(ExecutorState.READY, "")

    def fault(self, reason: str) -> None:
        """Latches a fault; the next tick plans the stop."""
        if self.state not in (ExecutorState.READY, ExecutorState.FAULT):
            self._enter(ExecutorState.FAULT, reason)

    def set_speed(self, speed: float, now_ns: int) -> None:
        """Passes what the chunks ask for at a share of its speed from now on, in (0, 1]; other shares are a LimitError."""
        self.scheduler.set_speed(speed, now_ns)

    # -- chunks ------------------------------------------------------------------------------------------------------

    def expect_chunks(self, expected: bool) -> None:
        """Tells whether a policy is running: only then is it a fault when its chunks stop coming."""
        self._chunks_expected = expected

    def submit(self, chunk: ActionChunk, now_ns: int) -> None:
        """Takes a chunk. One that is late, or starts too far away, is refused; a malformed one is a fault.

        Raises:
            ChunkError: why it was refused, for the log.
        """
        if self.state in (ExecutorState.READY, ExecutorState.FAULT):
            return
        try:
            validate_chunk(chunk, self._embodiment.action_names)
        except ChunkError as error:
            self.counters.chunks_refused += 1
            self.fault(str(error))
            raise
        if reason := self._late(chunk, now_ns) or self._far(chunk, now_ns):
            self.counters.chunks_refused += 1
            self.message = reason
            raise ChunkError(reason)
        try:
            self.scheduler.submit(chunk, now_ns)
        except ChunkDiscarded as error:
            self.counters.chunks_refused += 1
            self.counters.chunks_discarded += 1
            self.message = str(error)
            raise
        if self._smoother is not None:
            self._smoother.renew()
        self.counters.chunks_accepted += 1
        self.counters.chunks_late += self._starved_since_ns is not None
        if self.state is ExecutorState.ARMED:
            self._enter(ExecutorState.RUNNING, "")

    def _late(self, chunk: ActionChunk, now_ns: int) -> str:
        age_ns = now_ns - chunk.observation_ns
        allowed_ns = round(self._embodiment.safety.max_observation_age_ms * _MS) + chunk.inference_latency_ns
        if age_ns > allowed_ns:
            return (
                f"chunk {chunk.sequence}: its observation is {age_ns / _MS:.0f} ms old, "
                f"expected at most {allowed_ns / _MS:.0f} ms"
            )
        if age_ns < -_FUTURE_NS:
            return (
                f"chunk {chunk.sequence}: its observation lies {-age_ns / _MS:.0f} ms in the future; "
                "expected clocks that agree"
            )
        return ""

    def _far(self, chunk: ActionChunk, now_ns: int) -> str:
        """Why a chunk may not be the first one: it starts too far from where the arm is."""
        if self._smoother is None or self.scheduler.reference_at(now_ns) is not None:
            return ""
        here = self._smoother.plan.state_at(now_ns).position
        first = chunk.actions[np.searchsorted(chunk.times_ns(), now_ns).clip(0, len(chunk.actions) - 1)]
        distance = np.abs(first[self._joints] - here)
        joint, limit = int(np.argmax(distance)), self._embodiment.safety.max_start_distance
        if distance[joint] <= limit:
            return ""
        name = self._embodiment.joint_names[joint]
        return f"chunk {chunk.sequence}: starts {distance[joint]:.2f} from the arm in {name}, expected at most {limit}"

    # -- time --------------------------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> Output | None:
        """Decides what to send now; None when disarmed."""
        if self._smoother is None:
            return None
        if self.state is ExecutorState.FAULT:
            return self.stop(now_ns)
        reference = self.scheduler.reference_at(now_ns)
        self._watch_for_silence(reference, now_ns)
        smoothed = self._smoother.track(self.scheduler, self._joints, now_ns)
        return Output(smoothed, self._gripper_change(reference), not self._shadow)

    def in_time(self, output: Output, now_ns: int) -> bool:
        """Whether the plan of an output may still be sent, asked just before; one that may not is withdrawn.

        A controller that gets a plan after it has left the one before would jump. Without it the arm goes on with the plan that
        it has, and the next tick plans from there. Only the newest output can be asked for.
        """
        smoothed = output.smoothed
        if not smoothed.changed or now_ns + self._on_its_way_ns <= smoothed.splice_ns:
            return True
        if self._smoother is not None:
            self._smoother.withdraw()
        self.counters.plans_withdrawn += 1
        return False

    def _watch_for_silence(self, reference: Reference | None, now_ns: int) -> None:
        """Starvation is a fault while a policy runs, and the end of a run when none does."""
        if reference is not None or self.scheduler.ruling is None:
            self._starved_since_ns = None
            return
        if not self._chunks_expected:
            self.scheduler.reset()
            if self.state is ExecutorState.RUNNING:
                self._enter(ExecutorState.ARMED, "")
            return
        self._starved_since_ns = self._starved_since_ns or now_ns
        self.counters.ticks_starved += 1
        silence_ms = self._embodiment.safety.silence_ms
        if now_ns - self._starved_since_ns > silence_ms * _MS:
            self.fault(f"no usable action for {silence_ms:.0f} ms although the policy is running; the arm was stopped")

    def _gripper_change(self, reference: Reference | None) -> float | None:
        if self._gripper is None or reference is None:
            return None
        return self._gripper.update(float(reference.position[len(self._embodiment.joints)]))

    def _enter(self, state: ExecutorState, message: str) -> None:
        self.state = state
        self.message = message
