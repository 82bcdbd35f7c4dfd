"""The states of the executor: holding, stopping, who may forbid motion, who may take the arm over, and how a motion begins."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from vla_core.action_chunk import ActionChunk
from vla_core.chunking import RecedingHorizon
from vla_core.embodiment import Embodiment, JointLimits, load_embodiment
from vla_core.embodiment.schema import Deadman, EmergencyStop, Teleoperation
from vla_core.errors import ChunkError, LimitError
from vla_core.execution import Executor, ExecutorState
from vla_core.execution.faults import Fault, FaultName
from vla_core.execution.robot_watch import RobotWatch
from vla_core.motion.measure import CommandMeter

ROOT = Path(__file__).parents[3]
FR3 = load_embodiment(ROOT / "config" / "embodiments" / "fr3.yaml")
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
MS = 1_000_000
NOW = 1_000_000_000_000
STILL = np.zeros(7)


def with_safety(**changes: object) -> Embodiment:
    return dataclasses.replace(FR3, safety=dataclasses.replace(FR3.safety, **changes))


class Arm:
    """An executor, ticked at 100 Hz, whose plans are sampled at 1 kHz."""

    def __init__(self, embodiment: Embodiment = FR3) -> None:
        self.executor = Executor(embodiment, RecedingHorizon())
        self.now_ns = NOW
        self.positions: list[np.ndarray] = []
        self.before_tick = lambda now_ns: None
        self._embodiment = embodiment

    def arm(self) -> Arm:
        self.executor.arm(HOME, STILL, 0.04, self.now_ns, shadow=False)
        return self

    def chunk(self, amplitude: float = 0.4, offset: float = 0.0) -> ActionChunk:
        """A movement of all joints from where they are, over two seconds."""
        state = self.executor.commanded_at(self.now_ns)
        assert state is not None
        wave = amplitude * (1.0 - np.cos(np.pi * np.arange(60) / 60.0)) / 2.0
        actions = np.column_stack([state.position + offset + wave[:, None] * np.ones(7), np.full(60, 0.04)])
        return ActionChunk(actions, FR3.action_names, self.now_ns, FR3.step_ns, self.now_ns)

    def run(self, duration_s: float) -> None:
        for _ in range(round(duration_s * 100)):
            self.before_tick(self.now_ns)
            output = self.executor.tick(self.now_ns)
            assert output is not None
            self.positions += [output.smoothed.plan.state_at(self.now_ns + k * MS).position for k in range(1, 11)]
            self.now_ns += 10 * MS

    def moving(self) -> Arm:
        """In the middle of a movement."""
        self.arm()
        self.executor.submit(self.chunk(), self.now_ns)
        self.run(0.8)
        assert self.speed() > 0.2
        return self

    def speed(self) -> float:
        state = self.executor.commanded_at(self.now_ns)
        assert state is not None
        return float(np.abs(state.velocity).max())

    def require_smooth(self) -> None:
        meter = CommandMeter(JointLimits.of(self._embodiment), 1e-3)
        meter.add(np.array(self.positions))
        assert meter.quality.violations == 0


def test_holding_stops_the_arm_and_resuming_goes_on_with_the_next_chunk() -> None:
    arm = Arm().moving()
    arm.executor.hold("to look at it")
    assert (arm.executor.state, arm.executor.message) == (ExecutorState.HOLDING, "to look at it")
    arm.run(0.6)
    held = arm.positions[-1]
    assert arm.speed() == 0.0
    arm.executor.submit(arm.chunk(), arm.now_ns)  # whatever chunks say
    arm.run(0.5)
    np.testing.assert_array_equal(arm.positions[-1], held)
    arm.executor.resume(arm.now_ns)
    assert arm.executor.state is ExecutorState.ARMED
    arm.run(0.2)
    np.testing.assert_array_equal(arm.positions[-1], held)  # the chunk of before does not count
    arm.executor.submit(arm.chunk(), arm.now_ns)
    arm.run(1.0)
    assert arm.executor.state is ExecutorState.RUNNING
    assert np.abs(arm.positions[-1] - held).max() > 0.1
    arm.require_smooth()


def test_an_operators_stop_is_latched_until_it_is_cleared_and_armed_anew() -> None:
    arm = Arm().moving()
    arm.executor.fault(Fault(FaultName.STOPPED, "stopped by the operator"))
    with pytest.raises(LimitError, match="still stopping"):
        arm.executor.clear_fault(arm.now_ns)
    arm.run(0.6)
    assert arm.speed() == 0.0
    assert (arm.executor.state, arm.executor.fault_name) == (ExecutorState.FAULT, FaultName.STOPPED)
    with pytest.raises(LimitError, match="expected the state HOLDING before resuming, found FAULT"):
        arm.executor.resume(arm.now_ns)
    with pytest.raises(LimitError, match="expected the state READY before arming"):
        arm.arm()
    arm.executor.clear_fault(arm.now_ns)
    assert (arm.executor.state, arm.executor.fault_name) == (ExecutorState.READY, None)
    arm.arm()
    arm.require_smooth()


def test_nothing_but_an_armed_arm_holds() -> None:
    arm = Arm()
    with pytest.raises(LimitError, match="found READY"):
        arm.executor.hold("")
    with pytest.raises(LimitError, match="before clearing a fault, found READY"):
        arm.executor.clear_fault(NOW)


class TestEmergencyStop:
    def test_pressed_it_stops_the_arm_and_nothing_clears_that_before_it_is_released(self) -> None:
        arm = Arm().moving()
        arm.executor.permission.emergency_stop(True)
        arm.run(0.6)
        assert arm.speed() == 0.0
        assert (arm.executor.state, arm.executor.fault_name) == (ExecutorState.FAULT, FaultName.EMERGENCY_STOP)
        with pytest.raises(LimitError, match="the emergency stop is pressed"):
            arm.executor.clear_fault(arm.now_ns)
        arm.executor.permission.emergency_stop(False)
        arm.run(0.1)
        assert arm.executor.state is ExecutorState.FAULT  # latched
        arm.executor.clear_fault(arm.now_ns)
        arm.arm()
        arm.require_smooth()

    def test_while_it_is_pressed_the_arm_is_not_armed(self) -> None:
        arm = Arm()
        arm.executor.permission.emergency_stop(True)
        with pytest.raises(LimitError, match="the emergency stop is pressed"):
            arm.arm()

    def test_one_that_is_required_must_have_spoken(self) -> None:
        arm = Arm(with_safety(emergency_stop=EmergencyStop("/stop", required=True)))
        with pytest.raises(
            LimitError, match="expected the emergency stop on /stop, which is required, found no message"
        ):
            arm.arm()
        arm.executor.permission.emergency_stop(False)
        arm.arm()


class TestDeadman:
    EMBODIMENT = with_safety(deadman=Deadman(timeout_ms=100.0))

    def test_the_arm_moves_only_while_it_is_held(self) -> None:
        arm = Arm(self.EMBODIMENT)
        with pytest.raises(LimitError, match="the deadman switch is not held"):
            arm.arm()
        arm.before_tick = lambda now_ns: arm.executor.permission.deadman(True, now_ns)
        arm.before_tick(NOW)
        arm.moving()
        arm.before_tick = lambda now_ns: None  # silence
        arm.run(0.09)
        assert arm.executor.state is ExecutorState.RUNNING
        arm.run(0.03)
        assert arm.executor.state is ExecutorState.HOLDING
        assert "the deadman switch is not held" in arm.executor.message
        arm.run(0.6)
        assert arm.speed() == 0.0
        with pytest.raises(LimitError, match="the deadman switch is not held"):
            arm.executor.resume(arm.now_ns)
        arm.executor.permission.deadman(True, arm.now_ns)
        arm.executor.resume(arm.now_ns)
        assert arm.executor.state is ExecutorState.ARMED
        arm.require_smooth()

    def test_a_release_that_is_told_counts_at_once(self) -> None:
        arm = Arm(self.EMBODIMENT)
        arm.before_tick = lambda now_ns: arm.executor.permission.deadman(True, now_ns)
        arm.before_tick(NOW)
        arm.moving()
        arm.before_tick = lambda now_ns: arm.executor.permission.deadman(False, now_ns)
        arm.run(0.01)
        assert arm.executor.state is ExecutorState.HOLDING


class TestTeleoperator:
    EMBODIMENT = dataclasses.replace(FR3, teleoperation=Teleoperation("/teleoperator", timeout_ms=150.0))

    def stream(self, arm: Arm, towards: float, duration_s: float) -> None:
        """The human moves joint 1 for so long, from where the arm is."""
        state = arm.executor.commanded_at(arm.now_ns)
        assert state is not None
        began_ns, start = arm.now_ns, state.position

        def send(now_ns: int) -> None:
            if (now_ns - began_ns) % (20 * MS) == 0:
                share = (now_ns - began_ns) * 1e-9 / duration_s
                arm.executor.teleoperate(np.array([start[0] + towards * share, *start[1:], np.nan]), now_ns)

        arm.before_tick = send
        arm.run(duration_s)
        arm.before_tick = lambda now_ns: None

    def test_a_live_stream_has_the_arm_and_the_policy_has_it_again_afterwards(self) -> None:
        arm = Arm(self.EMBODIMENT).moving()
        before = arm.positions[-1]
        self.stream(arm, -0.3, 1.5)
        assert arm.executor.intervention
        assert arm.executor.state is ExecutorState.RUNNING
        accepted = arm.executor.counters.chunks_accepted
        arm.executor.submit(arm.chunk(), arm.now_ns)
        assert arm.executor.counters.chunks_accepted == accepted  # the policy shadows
        assert arm.positions[-1][0] < before[0] - 0.2
        arm.run(0.3)
        assert not arm.executor.intervention
        assert arm.executor.state is ExecutorState.ARMED
        there = arm.positions[-1]
        arm.executor.submit(arm.chunk(), arm.now_ns)
        arm.run(1.0)
        assert arm.positions[-1][0] > there[0] + 0.1
        arm.require_smooth()

    def test_it_is_followed_with_little_lag(self) -> None:
        arm = Arm(self.EMBODIMENT).arm()
        self.stream(arm, 0.4, 2.0)
        assert abs(arm.positions[-1][0] - 0.4) < 0.02
        arm.require_smooth()

    def test_one_that_is_far_from_the_arm_or_not_finite_does_not_get_it(self) -> None:
        arm = Arm(self.EMBODIMENT).arm()
        with pytest.raises(ChunkError, match=r"starts 0\.80 from the arm in fr3_joint1"):
            arm.executor.teleoperate(np.array([*(HOME + 0.8), 0.04]), arm.now_ns)
        with pytest.raises(ChunkError, match="expected a finite number"):
            arm.executor.teleoperate(np.array([np.nan, *HOME[1:], 0.04]), arm.now_ns)
        assert not arm.executor.intervention
        arm.run(0.1)
        np.testing.assert_array_equal(arm.positions[-1], HOME)


def test_what_is_asked_for_first_is_approached_slowly_and_then_followed_at_speed() -> None:
    arm = Arm().arm()
    limits = JointLimits.of(FR3)
    arm.executor.submit(arm.chunk(amplitude=0.0, offset=0.4), arm.now_ns)
    arm.run(2.0)
    velocity = np.abs(np.diff(arm.positions, axis=0)).max(axis=0) / 1e-3
    assert (velocity <= 1.001 * FR3.motion.approach_share * limits.velocity).all()
    np.testing.assert_allclose(arm.positions[-1], HOME + 0.4, atol=1e-3)
    count = len(arm.positions)
    arm.executor.submit(arm.chunk(amplitude=-0.8), arm.now_ns)
    arm.run(2.2)
    velocity = np.abs(np.diff(arm.positions[count:], axis=0)).max(axis=0) / 1e-3
    assert (velocity > 1.05 * FR3.motion.approach_share * limits.velocity)[0]
    arm.require_smooth()


class TestRobotWatch:
    def watch(self) -> RobotWatch:
        watch = RobotWatch(FR3)
        watch.begin(NOW)
        return watch

    def test_a_robot_that_does_what_it_is_told(self) -> None:
        watch = self.watch()
        watch.measured(HOME, NOW + 90 * MS, NOW + 90 * MS)
        watch.reported(HOME, HOME + 0.05, NOW + 90 * MS)
        assert watch.check(NOW + 180 * MS) is None

    def test_joint_states_that_do_not_come(self) -> None:
        watch = self.watch()
        watch.reported(HOME, HOME, NOW + 100 * MS)
        assert watch.check(NOW + 100 * MS) is None
        found = watch.check(NOW + 101 * MS)
        assert found is not None
        assert (found.name, found.message) == (
            FaultName.JOINT_STATES_GONE,
            "no joint states for 101 ms, expected at most 100 ms",
        )

    def test_a_controller_that_says_nothing(self) -> None:
        watch = self.watch()
        watch.measured(HOME, NOW + 201 * MS, NOW + 201 * MS)
        found = watch.check(NOW + 201 * MS)
        assert found is not None
        assert found.name is FaultName.CONTROLLER_INACTIVE
        assert "fr3_arm_controller" in found.message

    def test_an_arm_that_something_holds_is_let_go_to_where_it_is(self) -> None:
        watch = self.watch()
        arm = Arm().moving()
        commanded = arm.positions[-1]
        held = commanded - np.array([0.0, 0.0, 0.0, 0.15, 0.0, 0.0, 0.0])
        watch.reported(commanded, held, NOW)
        found = watch.check(NOW)
        assert found is not None
        assert found.name is FaultName.TRACKING_ERROR
        assert "fr3_joint4 is 0.150 from where it is commanded, expected at most 0.1" in found.message
        arm.executor.fault(found)
        arm.run(1.5)
        np.testing.assert_allclose(arm.positions[-1], held, atol=1e-6)
        assert arm.speed() == 0.0
        arm.require_smooth()
