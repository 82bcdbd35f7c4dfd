"""The execution of chunks, as a state machine over plain values.

::

                     ┌──────────── resume ────────────┐
                     ▼                                │
    READY ──arm──▶ ARMED ──chunk──▶ RUNNING ──hold──▶ HOLDING        from all three: fault ──▶ FAULT ──clear──▶ READY
      ▲              ▲                │  │
      │              └─ no more chunks┘  │
      └───────────── disarm ─────────────┘

SHADOW is ARMED and RUNNING together with nothing sent. Every plan that leaves ends at rest, so that silence from this side
stops the arm; holding and a fault plan the stop at once. While a teleoperator's stream is live, it is followed in place of the
chunks, which are still checked for what is malformed.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from vla_core.action_chunk import ActionChunk, validate_chunk
from vla_core.action_spaces import Resolved
from vla_core.chunking.curve import Reference
from vla_core.embodiment import Embodiment
from vla_core.errors import ChunkDiscarded, ChunkError, LimitError
from vla_core.execution.acceptance import distant
from vla_core.execution.axes import Axes
from vla_core.execution.faults import Fault, FaultName
from vla_core.execution.gripper import GripperTarget, gripper_target
from vla_core.execution.intake import ChunkIntake
from vla_core.execution.permission import Permission
from vla_core.execution.state import Counters, ExecutorState, Output
from vla_core.execution.teleoperation import Teleoperation
from vla_core.motion.polynomial import Array, State
from vla_core.motion.region import Region
from vla_core.motion.smoother import Smoother
from vla_core.motion.speed import SpeedScaled
from vla_core.motion.standing import Standing
from vla_core.motion.velocity_smoother import VelocitySmoother
from vla_core.ports import ChunkScheduler

_MS = 1_000_000
_STANDING = 0.05  # slower than this is standing still [rad/s or m/s]
_ON_ITS_WAY = 0.25  # share of the lead that a plan may need from here to whoever tells it to the controller
_APPROACHED = 0.03  # nearer than this to what is asked for, the approach is over [rad or m]
_IDLE = (ExecutorState.UNCONFIGURED, ExecutorState.READY)
_COMMANDING = (ExecutorState.ARMED, ExecutorState.RUNNING, ExecutorState.HOLDING)


class Executor:
    """Executes chunks on the arm of an embodiment, by absolute time.

    Args:
        embodiment: limits, action names, safety and motion settings.
        scheduler: the strategy that says what the chunks ask for at a time.
        region: where the arm may be beside its joints' limits; None: anywhere.

    Attributes:
        permission: is told what the emergency stop and the deadman switch say.
    """

    def __init__(self, embodiment: Embodiment, scheduler: ChunkScheduler, region: Region | None = None) -> None:
        """Raises EmbodimentMismatch if the robot's action space, controller and model do not fit each other."""
        self.axes = Axes(embodiment, region)
        self.state = ExecutorState.READY
        self.message = ""
        self.fault_name: FaultName | None = None
        self.counters = Counters()
        self.scheduler = SpeedScaled(scheduler)
        self.permission = Permission(embodiment.safety)
        teleoperation = embodiment.teleoperation
        self._teleoperation = Teleoperation(embodiment.action_names, teleoperation.timeout_ms if teleoperation else 0)
        self.embodiment = embodiment
        self._joints = slice(0, len(self.axes.names))
        told_in_ns = embodiment.told_in_ns
        self._on_its_way_ns = told_in_ns + round(_ON_ITS_WAY * (embodiment.motion.lead_ms * _MS - told_in_ns))
        self._smoother: Smoother | VelocitySmoother | None = None
        self._gripper: GripperTarget | None = None
        self._shadow = False
        self._chunks_expected = False
        self._intake = ChunkIntake(embodiment)
        self._starved_since_ns: int | None = None
        self._approaching = True
        self._gives_way: Standing | None = None

    @property
    def gripper_target(self) -> float | None:
        """The gripper target that was sent last [m per finger]."""
        return self._gripper.target if self._gripper else None

    @property
    def commanding(self) -> bool:
        """Whether the arm is commanded: it must be where it should be, then."""
        return self.state in _COMMANDING

    @property
    def intervention(self) -> bool:
        """Whether a teleoperator has the arm."""
        return self._teleoperation.scheduler.ruling is not None

    def commanded_at(self, time_ns: int) -> State | None:
        """Where the arm is commanded to be at a time (n,); None when disarmed."""
        return self._smoother.plan.state_at(time_ns) if self._smoother else None

    # -- what an operator asks for -----------------------------------------------------------------------------------

    def activate(self) -> None:
        """The arm may be armed from now on."""
        if self.state is ExecutorState.UNCONFIGURED:
            self._enter(ExecutorState.READY)

    def deactivate(self) -> None:
        """Disarms; the arm may not be armed any more."""
        self.disarm()
        self._enter(ExecutorState.UNCONFIGURED, "inactive; expected the lifecycle node to be activated")

    def arm(self, position: Array, velocity: Array, finger: float | None, now_ns: int, shadow: bool) -> None:
        """Begins at rest where the arm stands.

        Args:
            position: (n,) where the controller holds the arm, or where it was measured [rad or m].
            velocity: (n,) measured [rad/s or m/s].
            finger: measured gripper position [m per finger]; None without a gripper.

        Raises:
            LimitError: the arm moves, stands outside of its limits, or somebody forbids it to move.
        """
        if self.state is not ExecutorState.READY:
            raise LimitError(f"expected the state READY before arming, found {self.state.name}; disarm first")
        fastest = int(np.argmax(np.abs(velocity)))
        if abs(velocity[fastest]) > _STANDING:
            name = self.embodiment.joint_names[fastest]
            raise LimitError(
                f"expected an arm that stands still before arming, found {name} at {velocity[fastest]:.3f} rad/s "
                f"(at most {_STANDING})"
            )
        if not shadow and (refusal := self.permission.refusal(now_ns)):
            raise LimitError(refusal)
        self._smoother = self.axes.begin(position, now_ns)
        self.axes.set_speed(self._smoother, self.scheduler.speed)
        self._gripper = gripper_target(self.embodiment.gripper, finger) if self.embodiment.gripper else None
        self.counters = Counters()
        self._shadow = shadow
        self._gives_way = None
        self._begin_anew()
        self._enter(ExecutorState.SHADOW if shadow else ExecutorState.ARMED)

    def hold(self, reason: str) -> None:
        """Lets the next tick plan a stop; the arm holds then, whatever chunks say, until :meth:`resume`.

        Raises:
            LimitError: the arm is not commanded.
        """
        if not self.commanding:
            raise LimitError(f"expected the state ARMED or RUNNING before holding, found {self.state.name}")
        self._begin_anew()
        self._enter(ExecutorState.HOLDING, reason)

    def resume(self, now_ns: int) -> None:
        """Goes on after :meth:`hold`, with the next chunk that comes.

        Raises:
            LimitError: the arm does not hold, or somebody forbids it to move.
        """
        if self.state is not ExecutorState.HOLDING:
            raise LimitError(f"expected the state HOLDING before resuming, found {self.state.name}")
        if refusal := self.permission.refusal(now_ns):
            raise LimitError(refusal)
        self._begin_anew()
        self._enter(ExecutorState.ARMED)

    def stop(self, now_ns: int) -> Output | None:
        """A stop to be sent, as soon as the limits allow; None when disarmed."""
        if self._smoother is None:
            return None
        return Output(self._smoother.stop(now_ns), None, not self._shadow)

    def disarm(self) -> None:
        """Ends. A moving arm is to be told to :meth:`stop` before; it would come to rest by the plan that it has, but later."""
        self._smoother = None
        self._begin_anew()
        self._enter(ExecutorState.READY)

    def fault(self, fault: Fault) -> None:
        """Latches a fault; the next tick plans the stop."""
        if self.state in (*_IDLE, ExecutorState.FAULT):
            return
        self._teleoperation.end()
        if fault.gives_way_to is not None and self.axes.have_positions:
            self._gives_way = Standing(fault.gives_way_to)
        self._enter(ExecutorState.FAULT, fault.message)
        self.fault_name = fault.name

    def clear_fault(self, now_ns: int) -> None:
        """Ends a latched fault; the arm is to be armed anew.

        Raises:
            LimitError: there is none, its cause lasts, or the arm still moves.
        """
        if self.state is not ExecutorState.FAULT:
            raise LimitError(f"expected the state FAULT before clearing a fault, found {self.state.name}")
        withdrawn = self.permission.withdrawn(now_ns)
        if withdrawn is not None and withdrawn.name is FaultName.EMERGENCY_STOP:
            raise LimitError(withdrawn.message)
        state = self.commanded_at(now_ns)
        if state is not None and state.velocity.any():
            raise LimitError("expected the arm to have come to rest before clearing the fault, found it still stopping")
        self.disarm()

    def set_speed(self, speed: float, now_ns: int) -> None:
        """Passes what the chunks ask for at a share of its speed from now on, in (0, 1]; other shares are a LimitError."""
        self.scheduler.set_speed(speed, now_ns)
        self.axes.set_speed(self._smoother, speed)

    # -- chunks and the teleoperator -----------------------------------------------------------------------------------

    def expect_chunks(self, expected: bool, hindrance: Fault | None = None, now_ns: int = 0) -> None:
        """Tells whether a policy is running: only then is it a fault when its chunks stop coming.

        ``hindrance`` says why it infers nothing although it is running: what it asked for is not followed any longer, and unless
        a chunk from a later observation comes soon, that is the fault.
        """
        self._chunks_expected = expected
        if hindrance is None:
            self._unhinder()
        elif self._intake.hindrance is None:
            self._intake.hinder(hindrance, now_ns)
            if self.state in (ExecutorState.RUNNING, ExecutorState.SHADOW) and not self.intervention:
                self._forget_chunks()
                self.message = hindrance.message

    def submit(self, chunk: ActionChunk, now_ns: int) -> None:
        """Takes a chunk. One that is late, or starts too far away, is refused; a malformed one is a fault.

        Raises:
            ChunkError: why it was refused, for the log.
        """
        if self.state in (*_IDLE, ExecutorState.FAULT):
            return
        try:
            validate_chunk(chunk, self.embodiment.action_names)
        except ChunkError as error:
            self.malformed(error)
            raise
        if self.state is ExecutorState.HOLDING or self.intervention:
            return
        if self._intake.overcomes_hindrance(chunk):
            self._unhinder()
        if reason := self._intake.refusal(chunk, now_ns):
            self._refuse(reason)
        resolved = self._in_axes(chunk)
        chunk = resolved.chunk
        if reason := self._far(chunk, now_ns):
            self._refuse(reason)
        try:
            self.scheduler.submit(chunk, now_ns)
        except ChunkDiscarded as error:
            self.counters.chunks_refused += 1
            self.counters.chunks_discarded += 1
            self.message = str(error)
            raise
        if self._smoother is not None:
            self._smoother.renew()
        self._intake.taken(chunk)
        self.counters.chunks_accepted += 1
        self.counters.chunks_late += self._starved_since_ns is not None
        if self.state is ExecutorState.ARMED:
            self._enter(ExecutorState.RUNNING)
        self.message = resolved.shortened or self.message

    def _refuse(self, reason: str) -> NoReturn:
        self.counters.chunks_refused += 1
        self.message = reason
        raise ChunkError(reason)

    def _in_axes(self, chunk: ActionChunk) -> Resolved:
        """The chunk as it can be executed, as far as it can."""
        if self._smoother is None:
            return Resolved(chunk)
        try:
            return self.axes.resolve(chunk, self._smoother.plan)
        except ChunkError as error:
            self._refuse(str(error))

    def malformed(self, error: ChunkError) -> None:
        """Takes note that what came as a chunk is none that could be executed."""
        self.counters.chunks_refused += 1
        self.fault(Fault(FaultName.CHUNK_MALFORMED, str(error)))

    def teleoperate(self, action: Array, now_ns: int) -> None:
        """Takes a position of the teleoperator's stream: the human has the arm while it is live.

        Args:
            action: (action_dim,) [units of the action]; NaN for a gripper that stays as it is.
            now_ns: when it came [ns].

        Raises:
            ChunkError: it is not finite, or too far from where the arm is to begin with; the policy keeps the arm.
        """
        if self.state not in (ExecutorState.ARMED, ExecutorState.RUNNING) or self._smoother is None:
            return
        if self._gripper is not None and np.isnan(action[self._joints.stop :]).all():
            action = np.append(action[self._joints], self._gripper.undecided)
        chunk = self._teleoperation.chunk(action, now_ns)
        try:
            validate_chunk(chunk, self.embodiment.action_names)
            if not self.intervention and (reason := self._distant(chunk, now_ns)):
                raise ChunkError(reason)
        except ChunkError:
            self._teleoperation.end()
            raise
        if not self.intervention:
            self._forget_chunks()
        self._teleoperation.scheduler.submit(chunk, now_ns)
        self._smoother.renew()
        if self.state is ExecutorState.ARMED:
            self._enter(ExecutorState.RUNNING)

    def _far(self, chunk: ActionChunk, now_ns: int) -> str:
        """Why a chunk may not be the first one: it starts too far from where the arm is."""
        return "" if self.scheduler.reference_at(now_ns) is not None else self._distant(chunk, now_ns)

    def _distant(self, chunk: ActionChunk, now_ns: int) -> str:
        state = self.commanded_at(now_ns)
        if state is None or not self.axes.have_positions:
            return ""
        return distant(chunk, self.embodiment, state.position, now_ns)

    # -- time --------------------------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> Output | None:
        """Decides what to send now; None when disarmed."""
        if self._smoother is None:
            return None
        self._watch(now_ns)
        if self.state is ExecutorState.FAULT and self._gives_way is not None:
            return Output(self._smoother.track(self._gives_way, slice(None), now_ns), None, not self._shadow)
        if self.state in (ExecutorState.FAULT, ExecutorState.HOLDING):
            return self.stop(now_ns)
        source: ChunkScheduler = self._teleoperation.scheduler if self.intervention else self.scheduler
        reference = source.reference_at(now_ns)
        if not self.intervention:
            self._watch_for_silence(reference, now_ns)
        self._watch_approach(reference, now_ns)
        smoothed = self._smoother.track(source, self._joints, now_ns)
        self.axes.note(smoothed.plan, now_ns)
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

    def _watch(self, now_ns: int) -> None:
        """Looks for what must stop the arm, and for the end of an intervention."""
        if self.intervention and not self._teleoperation.live(now_ns):
            self._begin_anew()
            if self.state is ExecutorState.RUNNING:
                self._enter(ExecutorState.ARMED)
        if not self.commanding:
            return
        withdrawn = self.permission.withdrawn(now_ns)
        if withdrawn is not None and withdrawn.name is FaultName.DEADMAN_RELEASED:
            if self.state is not ExecutorState.HOLDING:
                self.hold(withdrawn.message)
        elif withdrawn is not None:
            self.fault(withdrawn)

    def _watch_for_silence(self, reference: Reference | None, now_ns: int) -> None:
        """Starvation is a fault while a policy runs, and the end of a run when none does."""
        followed = self.scheduler.ruling is not None or self.state is ExecutorState.RUNNING
        if reference is not None or not followed:
            self._starved_since_ns = None
            return
        if not self._chunks_expected:
            self._begin_anew()
            if self.state is ExecutorState.RUNNING:
                self._enter(ExecutorState.ARMED)
            return
        self._starved_since_ns = self._starved_since_ns or now_ns
        self.counters.ticks_starved += 1
        silence_ms = self.embodiment.safety.silence_ms
        if now_ns - self._starved_since_ns > silence_ms * _MS:
            sentence = f"no usable action for {silence_ms:.0f} ms although the policy is running; the arm was stopped"
            self.fault(self._intake.hindrance or Fault(FaultName.STARVED, sentence))

    def _watch_approach(self, reference: Reference | None, now_ns: int) -> None:
        """What is asked for first is approached slowly."""
        state = self.commanded_at(now_ns)
        if not self._approaching or reference is None or state is None or self._smoother is None:
            return
        away = np.abs(reference.position[self._joints] - state.position).max()
        self._approaching = bool(away > _APPROACHED)
        self._smoother.go_slowly(self._approaching)

    def _gripper_change(self, reference: Reference | None) -> float | None:
        if self._gripper is None or reference is None:
            return None
        action = float(reference.position[self._joints.stop])
        return self._gripper.update(action) if np.isfinite(action) else None

    def _unhinder(self) -> None:
        hindrance = self._intake.hindrance
        if hindrance is not None and self.fault_name is None and self.message == hindrance.message:
            self.message = ""
        self._intake.hindrance = None

    def _begin_anew(self) -> None:
        """Forgets what was asked for: what comes next is the first."""
        self._teleoperation.end()
        self._forget_chunks()

    def _forget_chunks(self) -> None:
        self.scheduler.reset()
        self._intake.forget()
        self._starved_since_ns = None
        self._approaching = True

    def _enter(self, state: ExecutorState, message: str = "") -> None:
        self.state = state
        self.message = message
        self.fault_name = None
