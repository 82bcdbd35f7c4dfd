"""recorder_node over real DDS: what its services, its status, /diagnostics and its files say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

rclpy = pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from recorder_support import leave_partial  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402
from std_msgs.msg import Float64  # noqa: E402
from support import Leader, Nodes, eventually  # noqa: E402
from trajectory_msgs.msg import JointTrajectoryPoint  # noqa: E402
from vla_msgs.msg import ActionChunk as ActionChunkMessage  # noqa: E402
from vla_msgs.msg import CommandStatus  # noqa: E402

from control_msgs.msg import JointTrajectoryControllerState  # noqa: E402
from vla_core import config  # noqa: E402
from vla_core.action_chunk import ActionChunk  # noqa: E402
from vla_core.embodiment import load_embodiment  # noqa: E402
from vla_core.episodes import EpisodeMetadata, EpisodeReader, list_episodes  # noqa: E402
from vla_recorder.recorder_node import RecorderNode  # noqa: E402
from vla_recorder.ros.remote import RemoteRecorder  # noqa: E402
from vla_recorder.status import RecorderState  # noqa: E402
from vla_ros import host as ros_host  # noqa: E402
from vla_ros import names, qos  # noqa: E402
from vla_ros.codecs.chunks import chunk_message  # noqa: E402
from vla_ros.host import NodeHost  # noqa: E402
from vla_ros.time import to_time  # noqa: E402

pytestmark = pytest.mark.ros
EMBODIMENTS = Path(__file__).parents[3] / "config" / "embodiments"
MS = 1_000_000
PERIOD_MS = 40


@pytest.fixture(scope="module", autouse=True)
def _ros() -> Iterator[None]:
    ros_host.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def embodiment_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fr3_sim with small images, rates that are whole ticks of the lockstep, topics of the namespace, native joints."""
    small = {"width": 16, "height": 12, "rate_hz": 25}
    over = {
        "cameras": {role: {**small, "topic": f"{role}/image_raw"} for role in ("scene", "wrist")},
        "streams": {
            "joints": {"topic": "joints", "rate_hz": 100, "native": True},
            "fingers": {"topic": "fingers", "rate_hz": 25},
            "arm_command": {"topic": "arm_command", "rate_hz": 25},
            "gripper_command": {"topic": "gripper_command", "rate_hz": 25},
        },
        "steps": {"rate_hz": 25},
    }
    path = tmp_path_factory.mktemp("embodiment") / "small.yaml"
    path.write_text(yaml.safe_dump(config.merge(config.read_yaml(EMBODIMENTS / "fr3_sim.yaml"), over)))
    return path


class Source:
    """A robot that publishes every stream, and on request what a policy and command_node would.

    Attributes:
        silent: streams that are not published.
        shade: of the pixels of its images.
        strategy: of the command_node that executes a chunk with every step; empty: there is none.
    """

    def __init__(self, host: NodeHost, embodiment_file: Path, shade: int = 0) -> None:
        self.silent: set[str] = set()
        self.shade = shade
        self.strategy = ""
        self.embodiment = load_embodiment(embodiment_file)
        self._chunks = 0
        kinds = {"joints": JointState, "fingers": JointState, "arm_command": JointTrajectoryControllerState}
        self._publishers = {
            name: host.publisher(
                kinds.get(name, Float64 if name == "gripper_command" else Image), source.topic, qos.stream()
            )
            for name, source in self.embodiment.sources.items()
        }
        self._status = host.publisher(CommandStatus, names.COMMAND_STATUS, qos.latched())
        self._chunk = host.publisher(ActionChunkMessage, names.ACTION_CHUNK, qos.command())
        host.every(10 * MS, lambda now_ns: self._publish("joints", now_ns))
        host.every(PERIOD_MS * MS, self._on_step)

    def close(self) -> None:
        return

    def _on_step(self, now_ns: int) -> None:
        for name in self._publishers:
            if name != "joints":
                self._publish(name, now_ns)
        if self.strategy:
            self._status.publish(
                CommandStatus(state=CommandStatus.RUNNING, strategy=self.strategy, active_policy="act-7")
            )
            self._chunk.publish(chunk_message(self.chunk(now_ns), self.embodiment.action_units))
            self._chunks += 1

    def chunk(self, now_ns: int) -> ActionChunk:
        names_ = self.embodiment.action_names
        actions = np.full((4, len(names_)), float(self._chunks))
        return ActionChunk(actions, names_, now_ns, self.embodiment.step_ns, now_ns, "act-7", self._chunks, 30 * MS)

    def _publish(self, name: str, now_ns: int) -> None:
        if name in self.silent:
            return
        message = self._message(name)
        if name != "gripper_command":
            message.header.stamp = to_time(now_ns)
        self._publishers[name].publish(message)

    def _message(self, name: str) -> Any:
        if name in self.embodiment.cameras:
            pixels = np.full(12 * 16 * 3, self.shade, np.uint8).tobytes()
            return Image(height=12, width=16, encoding="rgb8", step=48, data=pixels)
        if name == "gripper_command":
            return Float64(data=0.04)
        wanted = self.embodiment.streams[name].elements
        assert wanted is not None
        values = [0.1] * len(wanted.names)
        if name == "arm_command":
            return JointTrajectoryControllerState(
                joint_names=list(wanted.names), reference=JointTrajectoryPoint(positions=values)
            )
        return JointState(name=list(wanted.names), position=values, velocity=values, effort=values)


class Desk:
    """An operator's console and a listener to /diagnostics. A context manager."""

    def __init__(self, namespace: str = "") -> None:
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        arguments = ["--ros-args", "-r", f"__ns:={namespace}"] if namespace else []
        self._node = rclpy.create_node("desk", cli_args=arguments)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.command())
        self.recorder = RemoteRecorder(self._node)

    def __enter__(self) -> Desk:
        self.recorder.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.recorder.__exit__()
        self._node.destroy_node()

    def status(self, condition: Callable[[Any], bool] = lambda _: True) -> Any:
        def fulfilled() -> Any:
            status = self.recorder.status()
            return status if status is not None and condition(status) else None

        return eventually(fulfilled)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.diagnostics |= {status.name: status for status in message.status}


# -- in lockstep: every number is known -------------------------------------------------------------------------------------


@dataclass
class Recorded:
    """What an operator saw and what was in the files."""

    refused: str
    first: Any
    again: Any
    prompts: list[str]
    stamps_ns: np.ndarray
    summary: Any
    info: Any
    native: Any
    rollout: Any
    rows_again: int
    diagnostics: dict[str, DiagnosticStatus]
    files: list[str]
    status: Any


@pytest.fixture(scope="module")
def recorded(embodiment_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """An episode with a change of the prompt and a policy in it, and one in its place in which the wrist camera falls silent."""
    folder = tmp_path_factory.mktemp("episodes")
    parameters = {"embodiment": str(embodiment_file), "episodes": str(folder), "prompt": "pick", "robot": "mock"}
    with Nodes() as nodes, Leader(["source", "recorder_node"]) as leader, Desk() as desk:
        source = nodes.start("source", lambda host: Source(host, embodiment_file), lockstep=True)
        nodes.start("recorder_node", RecorderNode, lockstep=True, disk_reserve_mb=0.0, **parameters)
        recorder = desk.recorder
        source.silent = {"wrist"}
        leader.run(0.5)
        refused = recorder.start().message
        source.silent = set()
        leader.run(0.5)
        assert recorder.start().accepted
        leader.run(0.4)
        recorder.set_prompt("lift")
        source.strategy = "temporal_ensembling"
        leader.run(0.4)
        first = recorder.stop()
        assert first.accepted, first.message
        (path,) = list_episodes(folder)
        with EpisodeReader(path) as episode:
            prompts, stamps_ns, info = list(episode.prompts), np.array(episode.stamps_ns), episode.info
            native, rollout = episode.native("joints"), episode.rollout
        source.strategy = ""
        assert recorder.start(redo=True).accepted
        leader.run(0.4)
        source.silent = {"wrist"}
        leader.run(0.4)
        source.silent = set()
        leader.run(0.4)
        assert recorder.mark("failure").accepted
        again = recorder.stop()
        leader.run(1.2)
        eventually(lambda: len(desk.diagnostics) == 7)
        with EpisodeReader(path) as episode:
            rows_again = len(episode)
            assert episode.info.outcome == "failure"
        status = recorder._newest[1]  # simulated time stands still, and the status with it
    files = sorted(found.name for found in folder.iterdir())
    return Recorded(
        refused,
        first,
        again,
        prompts,
        stamps_ns,
        info.summary,
        info,
        native,
        rollout,
        rows_again,
        desk.diagnostics,
        files,
        status,
    )


def test_a_start_is_refused_by_the_name_of_the_stream_that_is_missing(recorded: Recorded) -> None:
    assert recorded.refused == "not started: 'wrist': nothing was received on /wrist/image_raw, expected about 25 Hz"


def test_a_good_episode_is_called_good(recorded: Recorded) -> None:
    assert recorded.first.verdict == ()
    assert recorded.info.outcome == "success"
    assert recorded.info.dropped_steps == 0
    assert np.all(np.diff(recorded.stamps_ns) == PERIOD_MS * MS)
    assert len(recorded.stamps_ns) >= 18
    for found in recorded.summary.streams.values():
        assert (found.gaps, found.duplicates, found.out_of_order, found.clock_jumps) == (0, 0, 0, 0)
    assert recorded.summary.streams["gripper_command"].stamp == "arrival"
    assert recorded.info.recorder.endswith(", /recorder_node")


def test_the_prompt_changes_with_the_step(recorded: Recorded) -> None:
    change = recorded.prompts.index("lift")
    assert recorded.prompts == ["pick"] * change + ["lift"] * (len(recorded.prompts) - change)
    assert 5 <= change <= len(recorded.prompts) - 5


def test_a_stream_at_its_own_rate_is_complete(recorded: Recorded) -> None:
    first, last = recorded.stamps_ns[0], recorded.stamps_ns[-1]
    kept = recorded.native.stamps_ns
    assert np.all(np.diff(kept) == 10 * MS)
    assert first - PERIOD_MS * MS <= kept[0] <= first
    assert kept[-1] >= last
    assert recorded.native.values.shape == (len(kept), 21)


def test_what_the_policy_sent_is_beside_the_steps(recorded: Recorded) -> None:
    rollout = recorded.rollout
    assert rollout is not None
    assert list(rollout.sequence) == list(range(len(rollout.sequence)))
    assert len(rollout.sequence) >= 9
    np.testing.assert_array_equal(rollout.actions[:, 0, 0], rollout.sequence)
    assert set(rollout.policy_ids) == {"act-7"}
    assert "temporal_ensembling" in rollout.strategies
    assert not np.any(rollout.shadow[1:])  # the status that says so may come after the first one
    assert np.all(np.asarray(rollout.latency_ns) == 30 * MS)


def test_an_episode_in_the_place_of_another_is_judged_by_what_it_lacks(recorded: Recorded) -> None:
    assert recorded.files == ["episode_0.hdf5"]
    assert recorded.rows_again < 30
    text = "\n".join(recorded.again.verdict)
    assert "wrist was missing in" in text
    assert "gap at step" in text
    status = recorded.status
    assert (status.episodes, status.failures, status.last_good) == (1, 1, False)
    assert status.verdict == text


def test_diagnostics_name_the_node_and_what_each_entry_is_about(recorded: Recorded) -> None:
    assert set(recorded.diagnostics) == {
        "recorder_node: recorder",
        *(
            f"recorder_node: stream {name}"
            for name in ("scene", "wrist", "joints", "fingers", "arm_command", "gripper_command")
        ),
    }
    joints = recorded.diagnostics["recorder_node: stream joints"]
    assert joints.level == DiagnosticStatus.OK
    assert joints.message == "100 Hz"
    assert joints.hardware_id == "recorder_node"
    values = {entry.key: entry.value for entry in joints.values}
    assert values["topic"] == "/joints"
    assert values["expected rate [Hz]"] == "100"
    recorder = {entry.key: entry.value for entry in recorded.diagnostics["recorder_node: recorder"].values}
    assert recorder["episodes finished"] == "1"
    assert "wrist was missing" in recorder["last verdict"]


# -- in real time -----------------------------------------------------------------------------------------------------------


def test_two_robots_share_a_folder_and_a_killed_recording_is_recovered(embodiment_file: Path, tmp_path: Path) -> None:
    leave_partial(tmp_path / "episode_0.hdf5", EpisodeMetadata("push", "mock", load_embodiment(embodiment_file)), 20)
    parameters = {
        "embodiment": str(embodiment_file),
        "episodes": str(tmp_path),
        "robot": "mock",
        "disk_reserve_mb": 0.0,
    }
    with Nodes() as nodes, Desk("/left") as left, Desk("/right") as right:
        for shade, namespace in ((10, "/left"), (200, "/right")):
            nodes.start("source", lambda host, shade=shade: Source(host, embodiment_file, shade), namespace)
            nodes.start("recorder_node", RecorderNode, namespace, prompt=namespace, **parameters)
            if shade == 10:
                status = left.status(lambda s: s.state == RecorderState.IDLE and "episode_0" in s.message)
                assert status.streams[0].topic == "/left/scene/image_raw"
        started: dict[Desk, str] = {}
        deadline = time.monotonic() + 20.0
        for desk in (left, right):
            while not (reply := desk.recorder.start()).accepted:
                assert "not started" in reply.message
                assert time.monotonic() < deadline, reply.message
            started[desk] = reply.message
        assert sorted(started.values()) == ["recording episode_1.hdf5", "recording episode_2.hdf5"]
        for desk in (left, right):
            desk.status(lambda status: status.steps >= 10)
        assert [desk.recorder.stop().accepted for desk in (left, right)] == [True, True]
        eventually(lambda: {"left/recorder_node: recorder", "right/recorder_node: recorder"} <= set(left.diagnostics))
    recovered, *both = list_episodes(tmp_path)
    with EpisodeReader(recovered) as episode:
        assert episode.info.metadata.prompt == "push"
        assert episode.info.recovered
    for path, shade, namespace in zip(both, (10, 200), ("/left", "/right"), strict=True):
        with EpisodeReader(path) as episode:
            assert episode.info.metadata.prompt == namespace
            assert episode.info.recorder.endswith(f", {namespace}/recorder_node")
            assert np.all(episode.images("wrist") == shade)
    assert len(list(tmp_path.iterdir())) == 3
