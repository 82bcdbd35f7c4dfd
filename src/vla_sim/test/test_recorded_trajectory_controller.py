"""The simulated joint_trajectory_controller does what the real one did (ros2_controllers 4.42.1, ROS 2 Jazzy).

test/data/jtc holds recordings of the real controller at 1 kHz on mock hardware: every message that was sent, the times of
all cycles that were recorded, and what was published in some of them. The simulated controller is run through the same
cycles; a message is handed over before the cycle in which the real controller first used it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vla_sim.controllers.hardware import JointInterfaces
from vla_sim.controllers.joint_trajectory import JointTrajectoryController
from vla_sim.controllers.messages import FollowJointTrajectoryGoal, JointTrajectory, Point, Rejection, TrajectoryGoal
from vla_sim.controllers.parameters import joint_trajectory_parameters

DATA = Path(__file__).parents[3] / "test" / "data" / "jtc"
CASES: dict[str, Any] = json.loads((DATA / "cases.json").read_text())
TRAJECTORY_CASES = sorted(name for name in CASES if not name.startswith("fcc_"))
JOINTS = tuple(f"fr3_joint{index}" for index in range(1, 8))
PERIOD_NS = 1_000_000
EPOCH_NS = 1_700_000_000_000_000_000  # any time that is not 0

TOLERANCES = (1e-9, 1e-8, 1e-6)  # rad, rad/s, rad/s^2
UNKNOWN_START = 3e-3  # rad: rows at the change were lost, so where the trajectory began is known to a few cycles only
MEASURED_FLOAT32 = 3e-7  # rad: what the mock measured was kept in single precision
LOST_MS = 1.5
FIRST_USE_NS = 20_000_000  # the real controller used a message at most this long after it was published

Reply = TrajectoryGoal | Rejection | None


@dataclass
class Recording:
    """What the real controller did in one case."""

    t_ns: np.ndarray  # (T,) time of each cycle that was recorded, since the case began
    trajectory_time_ns: np.ndarray  # (T,) time_from_start of its reference
    rows: np.ndarray  # (m,) the cycles whose values are kept
    reference: np.ndarray  # (m, 3, 7) position, velocity, acceleration
    output: np.ndarray  # (m, 7)


@dataclass
class Replay:
    """What the simulated controller did in the same cycles."""

    reference: np.ndarray  # (T, 3, 7)
    output: np.ndarray  # (T, 7)
    replies: list[Reply] = field(default_factory=list)


@cache
def recording(name: str) -> Recording:
    with np.load(DATA / "samples.npz") as arrays:
        return Recording(**{key: arrays[f"{name}/{key}"] for key in Recording.__dataclass_fields__})


def trajectory_from(message: dict[str, Any]) -> JointTrajectory:
    stamp, names = message["header_stamp"], message["joint_names"]
    joints = tuple(f"fr3_joint{digit}" for digit in names) if isinstance(names, str) else tuple(names)
    points = tuple(
        Point(
            round(point["time_from_start"] * 1e9),
            *(np.array(point.get(key, ()), float) for key in ("positions", "velocities", "accelerations")),
        )
        for point in message["points"]
    )
    return JointTrajectory(0 if stamp is None else EPOCH_NS + round(stamp * 1e9), joints, points)


class Replayer:
    """Runs the simulated controller through the cycles of a recording."""

    def __init__(self, name: str) -> None:
        self.data, self.real = CASES[name], recording(name)
        self.hardware = JointInterfaces(JOINTS, ("position", "velocity"))
        self.hardware.position[:] = self.data["home"]
        self.hardware.velocity[:] = 0.0
        parameters = joint_trajectory_parameters({"joints": list(JOINTS)} | self.data["parameters"], name)
        self.controller = JointTrajectoryController("fr3_arm_controller", parameters, self.hardware, PERIOD_NS)
        self.waiting = list(self.data["inputs"])
        cycles = len(self.real.t_ns)
        self.done = Replay(np.full((cycles, 3, 7), np.nan), np.full((cycles, 7), np.nan))

    def run(self) -> Replay:
        begins = {segment["index"]: segment for segment in self.data["segments"][1:]}
        times = self.real.t_ns.tolist()
        self.controller.activate(EPOCH_NS + times[0] - PERIOD_NS)
        for row, t_ns in enumerate(times):
            skipped_ns = self.run_cycles_that_were_not_recorded(row)
            if row in begins:
                self.begin(begins[row], t_ns)
            while self.waiting and self.waiting[0]["reason"] and self.waiting[0]["published_at"] * 1e9 < t_ns:
                self.send(EPOCH_NS + t_ns)
            elapsed_ns = (
                int(self.real.trajectory_time_ns[row] - self.real.trajectory_time_ns[row - 1]) if row else PERIOD_NS
            )
            self.controller.update(EPOCH_NS + t_ns, elapsed_ns - skipped_ns)  # a trajectory that begins now ignores it
            state = self.controller.state()
            self.done.reference[row] = state.reference_position, state.reference_velocity, state.reference_acceleration
            self.done.output[row] = state.output_position
        assert not self.waiting
        return self.done

    def run_cycles_that_were_not_recorded(self, row: int) -> int:
        if row == 0:
            return 0
        before, now = self.real.t_ns[row - 1 : row + 1].tolist()
        missing = range(before + PERIOD_NS, now - PERIOD_NS // 2, PERIOD_NS)
        for t_ns in missing:
            self.controller.update(EPOCH_NS + t_ns, PERIOD_NS)
        return len(missing) * PERIOD_NS

    def begin(self, segment: dict[str, Any], t_ns: int) -> None:
        """The real controller began another trajectory in this cycle: it got one, or made one to hold a position."""
        if self.data["cancel_t"] is not None and not self.waiting:
            assert 0 <= t_ns - self.data["cancel_t"] * 1e9 < FIRST_USE_NS
            self.hardware.position[:] = self.data["measured_before_hold"]
            self.controller.update(EPOCH_NS + t_ns - PERIOD_NS, 0)
            assert isinstance(self.done.replies[0], TrajectoryGoal)
            assert self.controller.cancel_goal(self.done.replies[0])
        self.hardware.position[:] = segment["start_position"]
        self.hardware.velocity[:] = segment["start_velocity"]
        if self.waiting and 0 <= t_ns - round(self.waiting[0]["published_at"] * 1e9) < FIRST_USE_NS:
            self.send(EPOCH_NS + t_ns)

    def send(self, now_ns: int) -> None:
        message = self.waiting.pop(0)
        trajectory = trajectory_from(message)
        if message["via"] == "action":
            self.done.replies.append(self.controller.send_goal(FollowJointTrajectoryGoal(trajectory), now_ns))
        else:
            self.done.replies.append(self.controller.submit(trajectory, now_ns))


@cache
def replay(name: str) -> Replay:
    return Replayer(name).run()


def segments(name: str) -> Iterator[tuple[dict[str, Any], slice]]:
    """Each trajectory that was executed, with the places of its kept rows."""
    found, real = CASES[name]["segments"], recording(name)
    ends = [segment["index"] for segment in found[1:]] + [len(real.t_ns)]
    for segment, end in zip(found, ends, strict=True):
        yield segment, slice(*np.searchsorted(real.rows, [segment["index"], end]).tolist())


def start_is_known(name: str) -> dict[int, bool]:
    """Whether the cycle before each trajectory was recorded; with the desired state as start, all before it too."""
    known, chained = {}, CASES[name]["parameters"].get("interpolate_from_desired_state", False)
    for segment in CASES[name]["segments"]:
        lost = (segment["gap_before_ms"] or 0.0) > LOST_MS
        known[segment["index"]] = not lost and (not chained or all(known.values()))
    return known


@pytest.mark.parametrize("name", TRAJECTORY_CASES)
def test_the_motion_is_that_of_the_real_controller(name: str) -> None:
    real, simulated = recording(name), replay(name)
    known = start_is_known(name)
    for segment, kept in segments(name):
        rows = real.rows[kept]
        wanted, found = real.reference[kept], simulated.reference[rows]
        assert (np.isnan(wanted) == np.isnan(found)).all()
        if not known[segment["index"]]:
            assert np.nanmax(np.abs(wanted - found)[:, 0]) < UNKNOWN_START
            continue
        held_after_cancel = CASES[name]["cancel_t"] is not None and segment is CASES[name]["segments"][-1]
        for order, tolerance in enumerate(TOLERANCES):
            error = np.nanmax(np.abs(wanted - found)[:, order])
            assert error < (MEASURED_FLOAT32 if held_after_cancel else tolerance), f"derivative {order}"


@pytest.mark.parametrize("name", TRAJECTORY_CASES)
def test_what_is_written_is_the_reference_one_period_ahead_as_in_the_real_controller(name: str) -> None:
    real, simulated = recording(name), replay(name)
    known = start_is_known(name)
    for segment, kept in segments(name):
        published = ~np.isnan(real.output[kept])  # some recordings began after a NaN, when the field stays empty
        error = np.abs(real.output[kept] - simulated.output[real.rows[kept]])[published]
        assert (error < (TOLERANCES[0] if known[segment["index"]] else UNKNOWN_START)).all()


@pytest.mark.parametrize("name", TRAJECTORY_CASES)
def test_messages_are_taken_and_rejected_as_by_the_real_controller(name: str) -> None:
    replies, inputs = replay(name).replies, CASES[name]["inputs"]
    assert [reply.reason if isinstance(reply, Rejection) else None for reply in replies] == [
        message["reason"] for message in inputs
    ]


@pytest.mark.parametrize("name", [name for name in TRAJECTORY_CASES if name.startswith("action_")])
def test_goals_end_as_with_the_real_controller(name: str) -> None:
    (wanted,), (reply,) = [message["action"] for message in CASES[name]["inputs"]], replay(name).replies
    assert isinstance(reply, TrajectoryGoal) == wanted["accepted"]
    if isinstance(reply, TrajectoryGoal):
        assert (reply.status, reply.error_code) == (wanted["status"], wanted["error_code"])


def test_the_recordings_hold_every_kind_of_behaviour() -> None:
    reasons = {message["reason"] for name in TRAJECTORY_CASES for message in CASES[name]["inputs"]}
    assert reasons >= {"joint_count", "no_points", "unknown_joint", "last_velocity", "ends_in_past", "size_mismatch"}
    assert len(TRAJECTORY_CASES) == 38
    assert sum(len(recording(name).rows) for name in TRAJECTORY_CASES) > 1400


def test_the_published_output_stays_empty_after_a_nan() -> None:
    simulated = replay("nan_position")
    has_nan = np.isnan(simulated.reference[:, 0]).any(axis=1)
    first = int(np.flatnonzero(has_nan)[0])
    assert not has_nan[-1]
    assert np.isfinite(simulated.output[: first - 1]).all()
    assert np.isnan(simulated.output[first:]).all()
