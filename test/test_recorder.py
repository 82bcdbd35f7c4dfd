"""The recorder_node over DDS: what is in an episode is what was on the topics, and what it refuses, it says why."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64
from std_srvs.srv import Trigger
from support import Collector, Nodes, with_parameters, written
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from vla_msgs.msg import RecorderStatus
from vla_msgs.srv import SetPrompt

from control_msgs.msg import JointTrajectoryControllerState
from vla.environment import reserved_domain_id
from vla.graph import Bringup, Graph, bringup_graph
from vla.ros.operator import Operator, OperatorError
from vla.supervisor import ProcessDied, Supervisor
from vla_core.episodes import EpisodeReader, recover_folder
from vla_core.errors import EpisodeError
from vla_ros import names, qos
from vla_ros.host import NodeHost
from vla_ros.time import to_duration, to_ns

TOPICS = {
    "/franka/joint_states": JointState,
    "/franka_gripper/joint_states": JointState,
    "/fr3_arm_controller/controller_state": JointTrajectoryControllerState,
    "/scene/image_raw": Image,
    "/wrist/image_raw": Image,
}
SERVICES = {names.SET_RECORDER_PROMPT: SetPrompt, names.MARK_FAILURE: Trigger}
JOINTS = [f"fr3_joint{number}" for number in range(1, 8)]
GRIPPER = 0.04
pytestmark = pytest.mark.ros


class Teleoperation(Collector):
    """Moves the arm, announces the gripper's target, passes the wrist camera's images on, and keeps all that is published.

    Attributes:
        silent: whether the gripper's target is kept back. blind: whether the wrist camera's images are.
    """

    def __init__(self, host: NodeHost) -> None:
        super().__init__(host, TOPICS, SERVICES, (names.RECORDER_STATUS, RecorderStatus))
        self.silent = self.blind = False
        self._gripper = host.publisher(Float64, "/gripper/command", qos.command())
        self._arm = host.publisher(JointTrajectory, "/fr3_arm_controller/joint_trajectory", qos.command())
        self._images = host.publisher(Image, "/relayed/image_raw", qos.stream(20))
        host.subscribe(Image, "/wrist/image_raw", self._on_image, qos.stream(20))
        host.every(50_000_000, self._announce)

    def turn(self, by_rad: float, duration_s: float) -> None:
        """Turns the first joint from where it is."""
        position = np.array(self.messages["/franka/joint_states"][-1].position)
        position[0] += by_rad
        point = JointTrajectoryPoint(
            positions=position.tolist(), velocities=[0.0] * 7, time_from_start=to_duration(round(duration_s * 1e9))
        )
        self.host.in_loop(lambda: self._arm.publish(JointTrajectory(joint_names=JOINTS, points=[point])))

    def _announce(self, now_ns: int) -> None:
        if not self.silent:
            self._gripper.publish(Float64(data=GRIPPER))

    def _on_image(self, message: Image, receive_ns: int) -> None:
        if not self.blind:
            self._images.publish(message)


def recording_graph(episodes: Path, folder: Path) -> Graph:
    """A simulator and a recorder in lockstep with the teleoperation, through which the recorder sees the wrist camera."""
    relayed = written(folder / "relayed.yaml", cameras={"wrist": {"topic": "/relayed/image_raw"}})
    graph = bringup_graph(Bringup(record=True, lockstep=True, episodes=str(episodes), prompt="turn"))
    graph = with_parameters(graph, "recorder_node", embodiment=str(relayed))
    return with_parameters(graph, "sim_node", participants=["recorder_node", "teleoperation"])


@dataclass(frozen=True)
class Recorded:
    """A robot that is teleoperated and recorded."""

    operator: Operator
    hand: Teleoperation
    folder: Path

    def run(self, duration_s: float) -> RecorderStatus:
        """Lets time run, by a multiple of the status' period, 0.2 s; returns that of its end."""
        self.operator.run_simulation(duration_s)
        now_ns = self.hand.host.clock.now_ns()
        return self.operator.wait_until(
            lambda: self.operator.recorder if to_ns(self.operator.recorder.header.stamp) == now_ns else None,
            "the recorder's last status",
        )

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*"))


@pytest.fixture(scope="class")
def brought_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("recorder")
    graph = recording_graph(folder / "episodes", folder)
    with (
        Supervisor(graph.processes, os.environ) as supervisor,
        Operator(supervisor.check) as operator,
        Nodes() as nodes,
    ):
        yield Recorded(operator, nodes.start("teleoperation", Teleoperation, lockstep=True), folder / "episodes")


@pytest.fixture
def robot(brought_up: Recorded) -> Recorded:
    """The robot in a new world, with all streams coming, nothing recorded and nothing kept."""
    if brought_up.operator.recorder.state == RecorderStatus.RECORDING:
        brought_up.operator.stop_episode("discarded")
    brought_up.hand.silent = brought_up.hand.blind = False
    brought_up.operator.reset_world(5)
    brought_up.run(0.4)
    for path in brought_up.folder.glob("*"):
        path.unlink()
    for kept in brought_up.hand.messages.values():
        kept.clear()
    return brought_up


class TestInLockstep:
    def test_an_episode_holds_what_was_on_the_topics(self, robot: Recorded) -> None:
        answer = robot.hand.call(names.SET_RECORDER_PROMPT, SetPrompt.Request(prompt="turn to the left"))
        assert answer.accepted
        robot.run(0.2)
        path = Path(robot.operator.start_episode())
        robot.hand.turn(0.3, 1.0)
        status = robot.run(1.2)
        assert (status.state, status.prompt, status.message) == (RecorderStatus.RECORDING, "turn to the left", "")
        assert robot.files() == [path.name + ".journal", path.name + ".partial"]
        done = robot.operator.stop_episode()
        assert robot.files() == [path.name]
        kept = robot.hand.messages
        with EpisodeReader(path) as episode:
            assert done.steps == len(episode)
            known = episode.info.metadata
            assert (known.prompt, known.robot, known.task, known.seed) == ("turn to the left", "sim", "pick_place", 5)
            assert (episode.info.outcome, episode.info.dropped_steps) == ("success", 0)
            rows = np.flatnonzero(episode.markers == 0)
            assert 30 <= len(rows) <= 37
            stamps_ns = episode.stamps_ns[rows]
            scene = {to_ns(message.header.stamp): message for message in kept["/scene/image_raw"]}
            first = sorted(scene).index(stamps_ns[0])
            assert stamps_ns.tolist() == sorted(scene)[first : first + len(rows)]  # every image is a step
            joints = {to_ns(message.header.stamp): message for message in kept["/franka/joint_states"]}
            wrist = {to_ns(message.header.stamp): message for message in kept["/wrist/image_raw"]}
            wrist_ns = episode.stream_stamps_ns("wrist")
            for row, stamp_ns in zip(rows, stamps_ns, strict=True):
                assert episode.image("scene", row).tobytes() == bytes(scene[stamp_ns].data)
                assert episode.image("wrist", row).tobytes() == bytes(wrist[wrist_ns[row]].data)
                np.testing.assert_array_equal(episode.qpos[row, :7], joints[stamp_ns].position)
            references = [message.reference.positions for message in kept["/fr3_arm_controller/controller_state"]]
            times_ns = [to_ns(message.header.stamp) for message in kept["/fr3_arm_controller/controller_state"]]
            wanted = np.interp(stamps_ns, times_ns, np.array(references)[:, 0])
            np.testing.assert_allclose(episode.actions[rows, 0], wanted, atol=1e-9)
            assert np.ptp(wanted) > 0.25
            np.testing.assert_array_equal(episode.actions[rows, 7], GRIPPER)

    def test_a_camera_that_loses_images_drops_steps_which_are_counted_and_told(self, robot: Recorded) -> None:
        path = Path(robot.operator.start_episode())
        robot.run(0.4)
        robot.hand.blind = True
        robot.run(0.4)
        robot.hand.blind = False
        status = robot.run(0.4)
        assert 9 <= status.dropped_steps <= 12  # 0.4 s at 30 Hz, less the tolerance of 50 ms
        assert "wrist" in status.message
        robot.operator.stop_episode()
        with EpisodeReader(path) as episode:
            assert episode.info.dropped_steps == status.dropped_steps
            gaps_ns = np.diff(episode.stamps_ns[episode.markers == 0])
            assert gaps_ns.max() > 0.3e9
            assert (np.sort(gaps_ns)[:-1] < 0.035e9).all()
            received = episode.info.summary.streams
            assert received["scene"].received - received["wrist"].received >= 9

    def test_outcomes_are_kept_and_a_discarded_episode_leaves_nothing(self, robot: Recorded) -> None:
        marked = Path(robot.operator.start_episode("turn"))
        assert robot.hand.call(names.MARK_FAILURE, Trigger.Request()).success
        assert robot.run(0.4).outcome == "failure"
        robot.operator.stop_episode()
        discarded = Path(robot.operator.start_episode("turn"))
        robot.run(0.2)
        assert robot.operator.stop_episode("discarded").path == ""
        assert robot.files() == [marked.name]
        assert discarded.name != marked.name
        said = Path(robot.operator.start_episode("turn", policy_id="fake/sine"))
        assert said == discarded  # its name is free again
        robot.run(0.2)
        robot.operator.stop_episode("success")
        outcomes = {}
        for path in (marked, said):
            with EpisodeReader(path) as episode:
                outcomes[path] = (episode.info.outcome, episode.info.metadata.policy_id)
        assert outcomes == {marked: ("failure", ""), said: ("success", "fake/sine")}

    def test_what_does_not_fit_its_state_is_refused(self, robot: Recorded) -> None:
        with pytest.raises(OperatorError, match="cannot stop: no episode is being recorded"):
            robot.operator.stop_episode()
        answer = robot.hand.call(names.MARK_FAILURE, Trigger.Request())
        assert (answer.success, answer.message) == (False, "cannot mark a failure: no episode is being recorded")
        path = Path(robot.operator.start_episode())
        with pytest.raises(OperatorError, match=f"cannot start: {path.name} is still being recorded"):
            robot.operator.start_episode()
        robot.run(0.2)
        with pytest.raises(OperatorError, match="expected 'success', 'failure' or 'discarded', found 'perfect'"):
            robot.operator.stop_episode("perfect")
        assert robot.operator.stop_episode().path == str(path)

    def test_a_prompt_set_during_an_episode_holds_from_then_on(self, robot: Recorded) -> None:
        path = Path(robot.operator.start_episode("first"))
        before = robot.run(0.4).steps
        assert robot.hand.call(names.SET_RECORDER_PROMPT, SetPrompt.Request(prompt="another")).accepted
        robot.run(0.4)
        robot.operator.stop_episode()
        with EpisodeReader(path) as episode:
            assert episode.info.metadata.prompt == "first"
            changed = episode.prompts.index("another")
            assert episode.prompts == ["first"] * changed + ["another"] * (len(episode) - changed)
            assert 0 <= changed - before <= 5  # steps that were waited for when it was set are later ones

    def test_nothing_is_started_without_all_streams(self, robot: Recorded) -> None:
        robot.hand.silent = True
        robot.run(1.0)
        with pytest.raises(
            OperatorError, match=r"not started: 'gripper_command': the last message on /gripper/command"
        ):
            robot.operator.start_episode()
        robot.hand.silent = False
        robot.run(0.2)
        robot.operator.start_episode()
        assert robot.run(0.2).state == RecorderStatus.RECORDING


def test_a_recorder_that_is_killed_leaves_what_it_has_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a domain of its own: for others, it would seem to live on for a while."""
    graph = recording_graph(tmp_path / "episodes", tmp_path)
    with reserved_domain_id() as domain_id:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain_id))
        with (
            Supervisor(graph.processes, os.environ) as supervisor,
            Operator(supervisor.check) as operator,
            Nodes() as nodes,
        ):
            hand = nodes.start("teleoperation", Teleoperation, lockstep=True)
            robot = Recorded(operator, hand, tmp_path / "episodes")
            robot.run(0.4)
            path = Path(operator.start_episode())
            assert robot.run(1.0).steps > 20
            os.kill(supervisor.process_id("recorder_node"), signal.SIGKILL)
            with pytest.raises(ProcessDied, match="recorder_node ended with exit status -9"):
                supervisor.wait(lambda: False)
    partial = path.with_name(path.name + ".partial")
    assert robot.files() == [path.name + ".journal", partial.name]  # no finished episode, and nothing thrown away
    with pytest.raises(EpisodeError, match="partial"):
        EpisodeReader(partial)
    (line,) = recover_folder(partial.parent)
    assert line.startswith(f"{path.name}: recovered ")
    with EpisodeReader(path) as episode:
        assert len(episode) > 20
        assert episode.info.outcome == "unknown"
