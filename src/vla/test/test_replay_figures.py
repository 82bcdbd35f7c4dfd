"""What a replay is compared with, the comparison itself, and the picture of it. No node runs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("vla_msgs", reason="needs the built interfaces")

from vla.graph import Bringup, bringup_from, bringup_graph
from vla.outputs import write_json
from vla.replay import Recording, Replay, bringup_for, read_recording
from vla.replay.picture import draw
from vla.replay.tracking import Trace, TraceError, largest, read_trace, rms, track
from vla_core.embodiment import load_embodiment
from vla_core.episodes import EpisodeMetadata, Hdf5EpisodeWriter
from vla_core.episodes.synthetic import START_NS, synthetic_step
from vla_core.errors import ConfigError, EmbodimentMismatch
from vla_core.motion.measure import CommandQuality
from vla_recorder.playback import Timeline

BAGS = Path(__file__).parents[3] / "test" / "data" / "bags"
ROBOT = load_embodiment(Bringup().embodiment_file)
TRUTH = json.loads((BAGS / "truth.json").read_text())
SECOND = 1_000_000_000
BEGAN = 1_400_000_000


def written(folder: Path, steps: int = 30, **known: object) -> Path:
    cameras = {role: dataclasses.replace(c, height=6, width=8) for role, c in ROBOT.cameras.items()}
    embodiment = dataclasses.replace(ROBOT, cameras=cameras)
    writer = Hdf5EpisodeWriter(folder, EpisodeMetadata("put it there", "sim", embodiment, **known))
    for index in range(steps):
        writer.append(synthetic_step(embodiment, index))
    return writer.finish("success")


def trace_of(recording: Recording, timeline: Timeline, late_s: float = 0.0, off: float = 0.0) -> Trace:
    """The trace of an arm that follows a recording ``late_s`` late, ``off`` from where it should be."""
    times_ns = BEGAN - SECOND + 1_000_000 * np.arange(round((recording.duration_s / timeline.speed + 2) * 1e3))
    wanted_s = (times_ns - timeline.start_ns) * 1e-9 * timeline.speed - late_s
    known_s = (recording.stamps_ns - timeline.first_ns) * 1e-9
    command = np.stack([np.interp(wanted_s, known_s, column) for column in recording.position.T], axis=1)
    return Trace(times_ns, command, command + off)


# -- recordings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "topic"), [("scene_mcap", "/franka/joint_states"), ("scene_sqlite3", "/joint_states")]
)
def test_a_bag_says_where_the_arm_was_while_it_was_commanded(name: str, topic: str) -> None:
    recording = read_recording(BAGS / name, ROBOT)
    truth = TRUTH[name]["topics"]
    first_ns = TRUTH[name]["start_ns"] + min(
        truth[command]["receive_t"][0] * 1e9 for command in ("/fr3_arm_controller/joint_trajectory", "/gripper/command")
    )
    last_ns = truth["/fr3_arm_controller/joint_trajectory"]["header_stamp_ns"][-1] + SECOND // 2
    expected = [stamp for stamp in truth[topic]["header_stamp_ns"] if first_ns - 1_000 <= stamp <= last_ns]
    assert recording.kind == "bag"
    assert recording.measured_by == topic
    assert list(recording.stamps_ns) == expected
    assert recording.messages == 52
    assert recording.duration_s == pytest.approx((last_ns - first_ns) * 1e-9, abs=1e-5)
    assert list(recording.gripper) == truth["/gripper/command"]["values"]
    np.testing.assert_allclose(
        recording.arm_start, [0, -np.pi / 4, 0, -3 * np.pi / 4, 0, np.pi / 2, np.pi / 4], atol=1e-3
    )
    assert (recording.seed, recording.task) == (None, "")


def test_an_episode_says_where_the_arm_was_and_in_which_world(tmp_path: Path) -> None:
    recording = read_recording(written(tmp_path, seed=17, task="pick_place"), ROBOT)
    steps = [synthetic_step(ROBOT, index) for index in range(30)]
    assert list(recording.stamps_ns) == [step.stamp_ns for step in steps]
    np.testing.assert_array_equal(recording.position, [step.samples["joints"].value[:7] for step in steps])
    np.testing.assert_array_equal(recording.gripper, [step.samples["gripper_command"].value[0] for step in steps])
    assert (recording.kind, recording.seed, recording.task) == ("episode", 17, "pick_place")
    assert recording.duration_s == pytest.approx(29 / 30)


def test_an_episode_of_another_robot_is_refused(tmp_path: Path) -> None:
    slower = dataclasses.replace(ROBOT, steps=dataclasses.replace(ROBOT.steps, rate_hz=10))
    with pytest.raises(EmbodimentMismatch, match="step rate"):
        read_recording(written(tmp_path), slower)


# -- tracking --------------------------------------------------------------------------------------------------------------


@given(
    off=st.floats(-0.1, 0.1),
    speed=st.sampled_from([0.5, 1.0, 2.0]),
    epoch=st.sampled_from([0, START_NS, 2 * START_NS]),
)
def test_the_error_is_how_far_the_simulated_arm_is_off_at_any_speed_and_any_epoch(
    off: float, speed: float, epoch: int
) -> None:
    stamps_ns = epoch + 7 + 33_333_333 * np.arange(60)
    position = 0.01 * np.arange(60)[:, None] * (1.0 + np.arange(7))
    recording = Recording(
        Path("x"), "episode", stamps_ns, position, "qpos", stamps_ns, position[:, 0], position[0], 2.0, 60
    )
    timeline = Timeline(int(stamps_ns[0]), BEGAN, speed)
    tracking = track(recording, trace_of(recording, timeline, off=off), timeline, ROBOT.joint_names)
    # but for the last: the arm stands from then on, and that corner lies between two values of the trace
    np.testing.assert_allclose(tracking.error[:-1], off, atol=1e-7)
    np.testing.assert_allclose(tracking.command_error, off, atol=1e-9)
    np.testing.assert_allclose(tracking.times_s, 33_333_333e-9 * np.arange(60) / speed, atol=1e-8)
    np.testing.assert_allclose(rms(tracking.error[:-1]), abs(off), atol=1e-7)
    np.testing.assert_allclose(largest(tracking.error[:-1]), abs(off), atol=1e-7)


def test_an_arm_that_is_late_has_an_error_of_its_velocity_times_the_delay() -> None:
    stamps_ns = 33_333_333 * np.arange(90)
    position = 0.3 * stamps_ns[:, None] * 1e-9 * np.ones(7)
    recording = Recording(Path("x"), "bag", stamps_ns, position, "", stamps_ns, position[:, 0], position[0], 2.9667, 90)
    timeline = Timeline(0, BEGAN)
    tracking = track(recording, trace_of(recording, timeline, late_s=0.02), timeline, ROBOT.joint_names)
    np.testing.assert_allclose(tracking.error[2:], -0.3 * 0.02, atol=1e-6)


def test_a_trace_that_ends_early_is_no_comparison() -> None:
    recording = read_recording(BAGS / "scene_mcap", ROBOT)
    timeline = Timeline(int(recording.stamps_ns[0]), BEGAN)
    whole = trace_of(recording, timeline)
    short = Trace(whole.times_ns[:2000], whole.command[:2000], whole.position[:2000])
    with pytest.raises(TraceError, match="expected a trace from"):
        track(recording, short, timeline, ROBOT.joint_names)


def test_a_missing_or_broken_trace_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="expected a trace of the simulator"):
        read_trace(tmp_path / "nothing.npz")
    (tmp_path / "broken.npz").write_bytes(b"hello")
    with pytest.raises(TraceError, match="expected a trace of the simulator"):
        read_trace(tmp_path / "broken.npz")


def test_a_command_of_the_trace_is_compared_with_where_the_arm_is_a_cycle_later(tmp_path: Path) -> None:
    command = np.arange(5.0)[:, None] * np.ones(7)
    np.savez(tmp_path / "trace.npz", time_ns=np.arange(5), command=command, position=command - 1.0)
    trace = read_trace(tmp_path / "trace.npz")
    np.testing.assert_array_equal(trace.command[1:], trace.position[1:])


# -- what is shown ---------------------------------------------------------------------------------------------------------


def replayed(recording: Recording, episode: Path | None, success: bool | None) -> Replay:
    timeline = Timeline(int(recording.stamps_ns[0]), BEGAN)
    tracking = track(recording, trace_of(recording, timeline, off=1e-3), timeline, ROBOT.joint_names)
    quality = CommandQuality(samples=1000, acceleration=3)
    return Replay(recording, 1.0, timeline, tracking, success, quality, recording.messages, episode)


def test_the_figures_hold_what_is_promised(tmp_path: Path) -> None:
    made = replayed(read_recording(BAGS / "scene_mcap", ROBOT), None, None)
    write_json(tmp_path / "figures.json", made.to_json())
    figures = json.loads((tmp_path / "figures.json").read_text())
    promised = {
        "source",
        "kind",
        "duration_s",
        "rms_error_rad",
        "max_error_rad",
        "success",
        "limit_violations",
        "messages",
    }
    assert promised <= set(figures)
    assert list(figures["rms_error_rad"]) == list(ROBOT.joint_names)
    assert figures["rms_error_rad"]["fr3_joint1"] == pytest.approx(1e-3, abs=1e-5)
    assert figures["limit_violations"] == {"position": 0, "velocity": 0, "acceleration": 3, "jerk": 0}
    assert figures["success"] is None


def coloured(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """How many pixels have about a colour (RGB)."""
    return int((np.abs(picture[:, :, ::-1].astype(int) - colour).max(axis=2) < 12).sum())


def test_a_picture_shows_recorded_simulated_and_error(tmp_path: Path) -> None:
    draw(replayed(read_recording(BAGS / "scene_mcap", ROBOT), None, None), ROBOT, tmp_path / "new" / "bag.png")
    picture = cv2.imread(str(tmp_path / "new" / "bag.png"))
    for colour in ((154, 160, 166), (26, 115, 232), (217, 48, 37)):
        assert coloured(picture, colour) > 2_000


def test_a_picture_of_an_episode_shows_the_cameras_too(tmp_path: Path) -> None:
    recorded = written(tmp_path / "recorded")
    simulated = written(tmp_path / "simulated")
    recording = read_recording(recorded, ROBOT)
    draw(replayed(recording, None, True), ROBOT, tmp_path / "without.png")
    draw(replayed(recording, simulated, True), ROBOT, tmp_path / "with.png")
    without, with_cameras = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("without", "with"))
    assert with_cameras.shape[0] > without.shape[0] + 300
    assert with_cameras.shape[1] == without.shape[1]


# -- the graph -------------------------------------------------------------------------------------------------------------


def test_an_episode_and_a_bag_get_the_nodes_that_play_them(tmp_path: Path) -> None:
    bag = bringup_graph(bringup_for(read_recording(BAGS / "scene_mcap", ROBOT), tmp_path, speed=0.5))
    players = {process.name: process for process in bag.processes}
    assert set(players) == {"sim_node", "playback_node", "recorder_node"}
    assert players["playback_node"].parameters["speed"] == 0.5
    assert "playback_node" in players["sim_node"].parameters["participants"]
    episode = read_recording(written(tmp_path, seed=17, task="pick_place"), ROBOT)
    bringup = bringup_for(episode, tmp_path)
    assert bringup.seed == 17
    assert bringup_for(episode, tmp_path, seed=4).seed == 4
    assert {process.name for process in bringup_graph(bringup).processes} == {
        "sim_node",
        "command_node",
        "replay_node",
        "recorder_node",
    }


def test_the_commands_of_a_bag_are_not_played_to_a_real_robot() -> None:
    with pytest.raises(ConfigError, match="playback need a simulation"):
        bringup_graph(bringup_from({"robot": "real", "playback": str(BAGS / "scene_mcap")}))
