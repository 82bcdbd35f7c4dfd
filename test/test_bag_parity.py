"""Live equals offline: a bag of the messages that a recorder got becomes the episode that the recorder wrote."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from ament_index_python.packages import get_package_share_directory
from episodes_made import assert_same_rollout
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from support import Nodes

from vla.graph import Bringup, bringup_graph
from vla.ros.operator import Operator
from vla.supervisor import Supervisor
from vla_core.episodes import EpisodeReader
from vla_recorder.bags import BagReader
from vla_recorder.bags.recorded import recorded_episodes
from vla_recorder.formats.bag import beside_episode, import_bag
from vla_recorder.recorder_node import RecorderNode
from vla_recorder.ros.remote import RemoteRecorder
from vla_ros.host import NodeHost

pytestmark = pytest.mark.ros

_TYPE = re.compile(r"^\w+/msg/\w+$")


@dataclass
class Tape:
    """Every message that the data topics of this process's nodes deliver: topic, type, time of reception, bytes."""

    entries: list[tuple[str, str, int, bytes]] = field(default_factory=list)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        subscribe = NodeHost.subscribe

        def taped(host: NodeHost, kind: type, topic: str, handler: Any, profile: Any, **options: Any) -> Any:
            name = f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"

            def handle(message: Any, receive_ns: int) -> None:
                data = bytes(message) if options.get("raw") else serialize_message(message)
                self.entries.append((entry.topic, name, receive_ns, data))
                handler(message, receive_ns)

            entry = subscribe(host, kind, topic, handle, profile, **options)
            return entry

        patch.setattr(NodeHost, "subscribe", taped)

    def write(self, path: Path, storage: StoragePlugin) -> Path:
        """The tape as rosbag2 would have recorded it."""
        types = get_typestore(Stores.ROS2_JAZZY)
        connections: dict[str, Any] = {}
        with Writer(path, version=9, storage_plugin=storage) as writer:
            for topic, name, receive_ns, data in self.entries:
                if topic not in connections:
                    register(types, name)
                    connections[topic] = writer.add_connection(topic, name, typestore=types)
                writer.write(connections[topic], receive_ns, data)
        return path


def register(types: Any, name: str) -> None:
    """Makes a message type known to rosbags, with those that it consists of, from what is installed."""
    if name in types.fielddefs:
        return
    package, _, word = name.split("/")
    text = (Path(get_package_share_directory(package)) / "msg" / f"{word}.msg").read_text()
    found = get_types_from_msg(text, name)
    for part in set(names_in(found)) - {name}:
        register(types, part)
    types.register(found)


def names_in(value: Any) -> Iterator[str]:
    """All message types that a definition mentions."""
    if isinstance(value, str):
        if _TYPE.match(value):
            yield value
    elif isinstance(value, dict):
        yield from names_in(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from names_in(part)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tape]:
    """Two seconds of the simulated robot, recorded by a recorder in this process, and what came to it from before until after."""
    folder, tape = tmp_path_factory.mktemp("live"), Tape()
    graph = bringup_graph(Bringup(policy="fake", record=True, lockstep=True, episodes=str(folder)))
    (recorder,) = (process for process in graph.processes if process.name == "recorder_node")
    with (
        pytest.MonkeyPatch.context() as patch,
        Supervisor([p for p in graph.processes if p is not recorder], os.environ) as supervisor,
        Operator(supervisor.check) as operator,
        Nodes() as nodes,
        RemoteRecorder(rclpy.create_node("hand")) as hand,
    ):
        tape.install(patch)
        nodes.start(recorder.name, RecorderNode, **recorder.parameters)
        operator.reset_world(3)
        operator.run_simulation(0.4)
        operator.arm()
        operator.run_simulation(0.1)  # the gripper's target is announced from now on
        operator.start_episode("wave")
        goal = operator.start_policy("wave")
        operator.run_simulation(1.0)
        assert hand.set_prompt("wave faster").accepted
        operator.run_simulation(1.0)
        path = Path(operator.stop_episode("success").path)
        operator.end_policy(goal)
        operator.run_simulation(0.3)
    return path, tape


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_bag_beside_an_episode_becomes_the_same_episode(
    tmp_path: Path, recorded: tuple[Path, Tape], storage: StoragePlugin
) -> None:
    live_path, tape = recorded
    bag = tape.write(tmp_path / "bag", storage)
    offline_path = import_bag(bag, tmp_path / "episodes", beside_episode(live_path)).written[0]
    with EpisodeReader(live_path) as live, EpisodeReader(offline_path) as offline:
        assert len(live) >= 15
        np.testing.assert_array_equal(live.stamps_ns, offline.stamps_ns)
        np.testing.assert_array_equal(live.markers, offline.markers)
        np.testing.assert_array_equal(live.actions, offline.actions)
        embodiment = live.info.metadata.embodiment
        for group in embodiment.proprioception:
            np.testing.assert_array_equal(live.proprioception(group), offline.proprioception(group))
        for name in embodiment.sources:
            np.testing.assert_array_equal(live.stream_stamps_ns(name), offline.stream_stamps_ns(name))
            np.testing.assert_array_equal(live.stream_ages_ns(name), offline.stream_ages_ns(name))
            np.testing.assert_array_equal(live.valid(name), offline.valid(name))
        for role in embodiment.cameras:
            assert live.images(role).tobytes() == offline.images(role).tobytes()
        assert live.prompts == offline.prompts
        assert list(dict.fromkeys(live.prompts)) == ["wave", "wave faster"]
        assert live.policy_drives.any()
        np.testing.assert_array_equal(live.policy_drives, offline.policy_drives)
        assert live.rollout is not None
        assert_same_rollout(live.rollout, offline.rollout)
        assert live.info.metadata == offline.info.metadata
        assert live.info.outcome == offline.info.outcome


def test_a_recorders_status_in_a_bag_tells_its_episodes(tmp_path: Path) -> None:
    """Recorded and kept; discarded; recorded until the bag ends."""
    name, types = "vla_msgs/msg/RecorderStatus", get_typestore(Stores.ROS2_JAZZY)
    register(types, name)
    status = types.types[name]
    idle, recording, finishing = status.IDLE, status.RECORDING, status.FINISHING
    states = [
        (idle, "", 0),
        (recording, "0", 0),
        (recording, "0", 0),
        (finishing, "0", 0),
        (idle, "0", 1),
        (recording, "1", 1),
        (idle, "", 1),
        (recording, "1", 1),
        (recording, "1", 1),
    ]
    header = types.types["std_msgs/msg/Header"](types.types["builtin_interfaces/msg/Time"](0, 0), "")
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/recorder/status", name, typestore=types)
        for number, (state, path, episodes) in enumerate(states):
            known = {"header": header, "state": state, "episode_path": path, "episodes": episodes}
            prompt = "another" if number == 2 else f"prompt {path}"
            known |= {"prompt": prompt, "outcome": "failure" if state == recording else ""}
            message = status(
                **{key: known.get(key, _empty(kind)) for key, kind in status.__annotations__.items() if _is_field(kind)}
            )
            writer.write(connection, 1_000 * (number + 1), types.serialize_cdr(message, name))
    with BagReader(tmp_path / "bag") as bag:
        first, last = recorded_episodes(bag)
    assert (first.from_ns, first.until_ns, first.outcome) == (2_000, 4_000, "failure")
    assert first.prompts == ((2_000, "prompt 0"), (3_000, "another"))
    assert (last.from_ns, last.prompts) == (8_000, ((8_000, "prompt 1"),))
    assert last.until_ns > 9_000


def _is_field(kind: Any) -> bool:
    return "ClassVar" not in str(kind)


def _empty(kind: Any) -> Any:
    text = str(kind)
    if "list" in text:
        return []
    return "" if "str" in text else False if "bool" in text else 0
