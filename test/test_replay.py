"""Recordings back into the simulated robot and into the graph, through the real nodes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import WrenchStamped
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from sensor_msgs.msg import Image
from std_msgs.msg import Float64
from support import Leader, Nodes, eventually
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import CommandStatus

from vla.demonstrations import record_demonstrations
from vla.graph import Bringup, bringup_graph
from vla.replay import read_recording, replay
from vla.replay.tracking import largest, rms
from vla.ros.operator import Operator, OperatorError
from vla.supervisor import Supervisor
from vla_core.embodiment import load_embodiment
from vla_core.episodes import EpisodeReader
from vla_recorder.bags import BagReader
from vla_recorder.playback import PlaybackState
from vla_recorder.playback.ros.progress import progress_from
from vla_recorder.playback_node import PlaybackNode
from vla_recorder.recorder_node import RecorderNode
from vla_ros import names, qos
from vla_ros.time import to_ns

BAG = Path(__file__).parent / "data" / "bags" / "scene_mcap"
HOME = [0.0, -0.2328, 0.0, -2.4594, 0.0, 2.2259, 0.7854]
pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demonstration of the scripted expert."""
    bringup = Bringup(record=True, expert=True, lockstep=True, episodes=str(tmp_path_factory.mktemp("episodes")))
    with Supervisor(bringup_graph(bringup).processes, os.environ) as supervisor, Operator(supervisor.check) as operator:
        (made,) = record_demonstrations(operator, [3])
    return Path(made.path)


@dataclass(frozen=True)
class Running:
    """A simulated robot that replays episodes."""

    operator: Operator
    bringup: Bringup


@pytest.fixture(scope="class")
def running(episode: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    bringup = Bringup(replay=True, lockstep=True, trace=str(tmp_path_factory.mktemp("trace")))
    with Supervisor(bringup_graph(bringup).processes, os.environ) as supervisor, Operator(supervisor.check) as operator:
        yield Running(operator, bringup)


# -- an episode into the simulated robot -----------------------------------------------------------------------------------


def armed_at(operator: Operator, position: list[float]) -> None:
    operator.reset_world(3, position)
    operator.run_simulation(0.3)
    operator.arm()
    operator.run_simulation(0.1)


class TestAnEpisodeIntoTheSimulatedRobot:
    def test_a_replayed_demonstration_follows_the_recorded_arm_and_does_the_task(
        self, running: Running, episode: Path
    ) -> None:
        embodiment = load_embodiment(running.bringup.embodiment_file)
        recording = read_recording(episode, embodiment)
        shares: list[float] = []
        made = replay(running.operator, recording, running.bringup, record=False, on_progress=shares.append)
        assert len(made.tracking.times_s) == recording.messages == made.messages > 90
        assert (rms(made.tracking.error) < 2e-3).all()
        assert (largest(made.tracking.error) < 12e-3).all()  # the last action is held: a corner that the arm rounds
        moved = np.ptp(made.tracking.recorded, axis=0).max()
        assert moved > 0.3  # not a comparison of two arms that stand
        assert made.success
        assert made.quality.violations == 0
        assert made.quality.samples > 1e3 * recording.duration_s
        assert shares == sorted(shares)
        assert shares[-1] == 1.0

    def test_a_replay_in_another_world_does_not_do_the_task(self, running: Running, episode: Path) -> None:
        recording = read_recording(episode, load_embodiment(running.bringup.embodiment_file))
        made = replay(running.operator, recording, running.bringup, seed=11, record=False)
        assert made.success is False
        assert (rms(made.tracking.error) < 4e-3).all()

    def test_a_start_far_from_the_arm_is_refused_and_the_arm_stays(self, running: Running, episode: Path) -> None:
        operator = running.operator
        armed_at(operator, [1.2, *HOME[1:]])
        goal = operator.start_replay(str(episode))
        operator.run_simulation(1.0)
        result = operator.result_of(goal)
        assert not result.success
        assert "from the arm in fr3_joint1, expected at most 0.5" in result.message
        assert operator.command.state == CommandStatus.ARMED
        assert operator.command.position[0] == pytest.approx(1.2, abs=1e-3)
        operator.disarm()

    def test_a_cancelled_replay_ends_with_the_arm_at_rest(self, running: Running, episode: Path) -> None:
        operator = running.operator
        with EpisodeReader(episode) as recorded:
            armed_at(operator, list(recorded.qpos[0, :7]))
        goal = operator.start_replay(str(episode))
        operator.run_simulation(1.0)
        moving = operator.wait_for_command(lambda status: status.state == CommandStatus.RUNNING, "the arm to be moved")
        assert np.abs(moving.velocity).max() > 0.05
        eventually(goal.cancel_goal_async().done)
        result = operator.result_of(goal)
        operator.run_simulation(1.0)
        assert not result.success
        assert result.message == "cancelled"
        assert 20 < result.steps < 60
        status = operator.wait_for_command(lambda status: status.state == CommandStatus.ARMED, "the arm to hold")
        assert np.allclose(status.velocity, 0.0)
        operator.disarm()

    def test_what_cannot_be_replayed_is_refused_with_a_reason(
        self, running: Running, episode: Path, tmp_path: Path
    ) -> None:
        operator = running.operator
        broken = tmp_path / "broken.hdf5"
        shutil.copyfile(episode, broken)
        with broken.open("r+b") as file:
            file.truncate(broken.stat().st_size // 2)
        for path, speed, reason in (
            (broken, 1.0, "expected a whole HDF5 file"),
            (tmp_path / "nothing.hdf5", 1.0, "expected an episode file, found nothing"),
            (episode, -1.0, "speed: expected a positive number, found -1.0"),
        ):
            result = operator.result_of(operator.start_replay(str(path), speed))
            assert not result.success
            assert reason in result.message
        goal = operator.start_replay(str(episode))
        operator.run_simulation(1.0)
        assert "found it disarmed" in operator.result_of(goal).message


# -- an episode's topics into a recorder -----------------------------------------------------------------------------------


def test_an_episode_played_into_a_recorder_is_recorded_as_it_was(episode: Path, tmp_path: Path) -> None:
    recorder = {"embodiment": str(Bringup().embodiment_file), "episodes": str(tmp_path), "robot": "sim"}
    with Operator() as operator, Nodes() as nodes, Leader(["playback_node", "recorder_node"]) as leader:
        progress: list[Any] = []
        operator.listen(DiagnosticStatus, names.PLAYBACK_STATUS, progress.append, qos.latched())
        nodes.start("playback_node", PlaybackNode, path=str(episode), lockstep=True)
        nodes.start("recorder_node", RecorderNode, **recorder, lockstep=True)
        leader.run(0.1)
        operator.start_playback()
        leader.run(0.2)
        operator.start_episode("again")
        with EpisodeReader(episode) as recorded:
            leader.run((recorded.stamps_ns[-1] - recorded.stamps_ns[0]) * 1e-9 + 0.5)
        done = eventually(lambda: [p for p in map(progress_from, progress) if p.state is PlaybackState.FINISHED])[0]
        path = operator.stop_episode("success").path
    assert done.played == done.total
    compare(episode, Path(path), done.start_ns - done.first_ns)


def compare(recorded: Path, again: Path, moved_ns: int) -> None:
    """Two episodes hold the same rows, the second one later."""
    with EpisodeReader(recorded) as before, EpisodeReader(again) as after:
        rows = {int(stamp_ns) + moved_ns: row for row, stamp_ns in enumerate(before.stamps_ns)}
        assert len(after) > len(before) - 12  # all that were played while it recorded
        same = [rows[int(stamp_ns)] for stamp_ns in after.stamps_ns]
        assert same == list(range(same[0], same[0] + len(same)))
        np.testing.assert_array_equal(after.actions, before.actions[same])
        for group in ("qpos", "qvel", "effort"):
            np.testing.assert_array_equal(after.proprioception(group), before.proprioception(group)[same])
        for role in ("scene", "wrist"):
            np.testing.assert_array_equal(after.images(role), before.images(role)[same])
            stamps_ns = before.stream_stamps_ns(role)[same] + moved_ns
            np.testing.assert_array_equal(after.stream_stamps_ns(role), stamps_ns)


# -- a bag -----------------------------------------------------------------------------------------------------------------


def vla(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vla", "replay", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_commands_of_a_bag_move_the_simulated_arm_as_they_moved_the_recorded_one(tmp_path: Path) -> None:
    done = vla(BAG, "--json", tmp_path / "figures.json", "--picture", tmp_path / "picture.png")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["kind"] == "bag"
    assert figures["measured_by"] == "/franka/joint_states"
    assert figures["success"] is None
    assert figures["messages"] == 52
    assert figures["duration_s"] == pytest.approx(3.0, abs=0.2)
    assert max(figures["rms_error_rad"].values()) < 1.5e-3
    assert (
        max(figures["max_error_rad"].values()) < 12e-3
    )  # the bag was cut while the arm moved: it stops, the recorded goes on
    assert set(figures["limit_violations"]) == {"position", "velocity", "acceleration", "jerk"}
    assert figures["limit_violations"]["position"] == figures["limit_violations"]["velocity"] == 0
    picture = cv2.imread(str(tmp_path / "picture.png"))
    assert picture.shape[1] > 1000
    assert "fr3_joint7" in done.stdout


def test_a_bag_without_commands_for_this_arm_is_refused_with_what_it_has(tmp_path: Path) -> None:
    text = Bringup().embodiment_file.parent.joinpath("fr3.yaml").read_text().replace("fr3_arm_controller", "panda_arm")
    (tmp_path / "panda.yaml").write_text(text)
    done = vla(BAG, "--embodiment", tmp_path / "panda.yaml")
    assert done.returncode == 1
    assert "expected the topics /panda_arm/joint_trajectory, found only" in done.stderr
    assert "/fr3_arm_controller/joint_trajectory (trajectory_msgs/msg/JointTrajectory)" in done.stderr


def test_the_playback_of_commands_refuses_an_arm_that_stands_elsewhere(tmp_path: Path) -> None:
    bringup = Bringup(playback=str(BAG), lockstep=True)
    with Supervisor(bringup_graph(bringup).processes, os.environ) as supervisor, Operator(supervisor.check) as operator:
        operator.reset_world(0)
        operator.run_simulation(0.3)
        with pytest.raises(OperatorError, match=r"expected the arm within 0\.1 of where it stood when it was recorded"):
            operator.start_playback()


def test_a_bag_is_published_into_the_graph_from_the_command_line(tmp_path: Path) -> None:
    done = vla(BAG, "--into", "graph", "--speed", 4, "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    with BagReader(BAG) as bag:
        assert figures["messages"] == sum(topic.count for topic in bag.topics.values())
        assert set(figures["topics"]) == set(bag.topics)
    assert figures["duration_s"] == pytest.approx(2.8 / 4, abs=0.1)
    assert "/scene/image_raw/compressed" in done.stdout


def test_options_that_do_not_belong_together_are_wrong_usage(tmp_path: Path) -> None:
    assert vla(BAG, "--into", "graph", "--picture", tmp_path / "picture.png").returncode == 2
    assert vla(BAG, "--into", "sim", "--topics", "/wrench").returncode == 2


def test_a_type_that_is_not_installed_is_left_out_with_a_warning(tmp_path: Path, capfd: Any) -> None:
    types = get_typestore(Stores.ROS2_JAZZY)
    types.register(get_types_from_msg("float64 size\n", "acme_msgs/msg/Thing"))
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, kind in (("/thing", "acme_msgs/msg/Thing"), ("/number", "std_msgs/msg/Float64")):
            connection = writer.add_connection(topic, kind, typestore=types)
            writer.write(connection, 5, types.serialize_cdr(types.types[kind](1.5), kind))
    with Operator(), Nodes() as nodes:
        node = nodes.start("playback_node", PlaybackNode, path=str(tmp_path / "bag"))
        assert node._player.topics == ("/number",)
    warning = "/thing is left out: message type 'acme_msgs/msg/Thing': expected one that is installed"
    assert capfd.readouterr().err.count(warning) == 1


class Listener:
    """Collects the messages of some topics."""

    def __init__(self, operator: Operator, **topics: tuple[str, type]) -> None:
        self.messages: dict[str, list[Any]] = {key: [] for key in topics}
        for key, (topic, kind) in topics.items():
            operator.listen(kind, topic, self.messages[key].append, qos.stream(1_000))


def play(nodes: Nodes, wanted: list[str], **parameters: Any) -> PlaybackNode:
    """Starts a playback in real time when its subscribers have been found."""
    node = nodes.start("playback_node", PlaybackNode, path=str(BAG), **parameters)
    publishers = node._player._publishers
    eventually(lambda: all(publishers[topic].publisher.get_subscription_count() for topic in wanted))
    return node


def test_topics_are_published_with_their_types_and_stamps_moved_by_one_constant() -> None:
    with Operator() as operator, Nodes() as nodes:
        heard = Listener(
            operator,
            wrench=("/wrench", WrenchStamped),
            image=("/scene/image_raw", Image),
            gripper=("/gripper/command", Float64),
        )
        play(nodes, ["/wrench", "/scene/image_raw", "/gripper/command"])
        operator.start_playback()
        with BagReader(BAG) as bag:
            eventually(lambda: len(heard.messages["wrench"]) == bag.topics["/wrench"].count)
            eventually(lambda: len(heard.messages["image"]) == bag.topics["/scene/image_raw"].count)
            stamps_ns = [message.stamp_ns for message in bag.messages(["/wrench"])]
            pictures = [bytes(message.value.data) for message in bag.messages(["/scene/image_raw"])]
            targets = [message.value.data for message in bag.messages(["/gripper/command"])]
        moved = {to_ns(m.header.stamp) - stamp for m, stamp in zip(heard.messages["wrench"], stamps_ns, strict=True)}
        assert len(moved) == 1
        assert [bytes(message.data) for message in heard.messages["image"]] == pictures
        eventually(lambda: [message.data for message in heard.messages["gripper"]] == targets)


@pytest.mark.parametrize("named", [False, True])
def test_commands_that_somebody_listens_to_are_published_only_if_they_were_named(named: bool) -> None:
    topic = "/fr3_arm_controller/joint_trajectory"
    with Operator() as operator, Nodes() as nodes:
        heard = Listener(operator, arm=(topic, JointTrajectory))
        progress: list[Any] = []
        operator.listen(DiagnosticStatus, names.PLAYBACK_STATUS, progress.append, qos.latched())
        topics = [topic, "/prompt"] if named else [""]
        play(nodes, [topic], speed=10.0, topics=topics)
        operator.start_playback()
        eventually(lambda: progress and progress_from(progress[-1]).state is PlaybackState.FINISHED)
        if named:
            eventually(lambda: len(heard.messages["arm"]) == 26)
        assert len(heard.messages["arm"]) == (26 if named else 0)
