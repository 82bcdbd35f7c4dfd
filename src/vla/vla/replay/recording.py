"""What is replayed: where the arm was and what the gripper was told, out of an episode or a bag."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment, require_compatible
from vla_core.episodes import EpisodeReader
from vla_core.errors import EpisodeError
from vla_recorder.bags import BagMessage, BagReader
from vla_recorder.bags.arm import arm_positions, arm_start, command_topic, joint_state_topic
from vla_recorder.playback.opening import is_episode

Array = NDArray[np.float64]
Times = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Recording:
    """An episode or a bag as a replay is compared with it.

    Attributes:
        path: of the file or folder.
        kind: what it is.
        stamps_ns: (k,) when the arm was measured, from the first command to the end of the last one [ns].
        position: (k, n) where its joints were [rad or m].
        measured_by: the topic or the group that says so.
        gripper_ns: (m,) when the gripper's target was recorded [ns].
        gripper: (m,) the target [m per finger].
        arm_start: (n,) where the arm stood when it began [rad or m].
        duration_s: from the first command to the end of the last [s].
        messages: actions of an episode, or commands of a bag.
        task: of an episode; empty if unknown.
        seed: of the simulated world that an episode was recorded in; None if unknown.
        prompt: of an episode.
    """

    path: Path
    kind: Literal["episode", "bag"]
    stamps_ns: Times
    position: Array
    measured_by: str
    gripper_ns: Times
    gripper: Array
    arm_start: Array
    duration_s: float
    messages: int
    task: str = ""
    seed: int | None = None
    prompt: str = ""


def read_recording(path: Path, embodiment: Embodiment) -> Recording:
    """Reads what a replay on this robot is compared with.

    Raises:
        EpisodeError, BagError: the file is missing or broken, or has no commands or joint states for this arm.
        EmbodimentMismatch: the episode was recorded with another robot.
    """
    return _episode(path, embodiment) if is_episode(path) else _bag(path, embodiment)


def _episode(path: Path, embodiment: Embodiment) -> Recording:
    with EpisodeReader(path) as episode:
        known = episode.info.metadata
        require_compatible(known.embodiment, embodiment, str(path))
        rows = episode.markers == 0
        stamps_ns, qpos, actions = episode.stamps_ns[rows], episode.qpos[rows], episode.actions[rows]
    if len(stamps_ns) < 2:
        raise EpisodeError(f"{path}: expected at least two steps, found {len(stamps_ns)}")
    names = list(embodiment.names_of(embodiment.proprioception["qpos"]))
    position = qpos[:, [names.index(name) for name in embodiment.joint_names]]
    return Recording(
        path=path,
        kind="episode",
        stamps_ns=stamps_ns,
        position=position,
        measured_by="observations/qpos",
        gripper_ns=stamps_ns,
        gripper=actions[:, len(embodiment.joints)] if embodiment.gripper else np.zeros(0),
        arm_start=position[0],
        duration_s=float(stamps_ns[-1] - stamps_ns[0]) * 1e-9,
        messages=len(stamps_ns),
        task=known.task,
        seed=known.seed,
        prompt=known.prompt,
    )


def _bag(path: Path, embodiment: Embodiment) -> Recording:
    arm = command_topic(embodiment)
    gripper = embodiment.gripper.command_topic if embodiment.gripper else ""
    with BagReader(path) as bag:
        start = arm_start(bag, embodiment)
        topic = joint_state_topic(bag, embodiment)
        states = list(arm_positions(bag, topic, embodiment))
        commands = list(bag.messages([name for name in (arm, gripper) if name in bag.topics]))
    first_ns = commands[0].receive_ns
    end_ns = max(_end_ns(message) if message.topic == arm else message.receive_ns for message in commands)
    targets = [message for message in commands if message.topic == gripper]
    used = [state for state in states if first_ns <= state.stamp_ns <= end_ns]
    return Recording(
        path=path,
        kind="bag",
        stamps_ns=np.array([state.stamp_ns for state in used], dtype=np.int64),
        position=np.array([state.position for state in used]).reshape(-1, len(embodiment.joints)),
        measured_by=topic,
        gripper_ns=np.array([message.receive_ns for message in targets], dtype=np.int64),
        gripper=np.array([message.value.data for message in targets], dtype=np.float64),
        arm_start=start.position,
        duration_s=(end_ns - first_ns) * 1e-9,
        messages=len(commands),
    )


def _end_ns(message: BagMessage) -> int:
    """When a trajectory is over; one without a stamp begins when it arrives [ns]."""
    begin_ns = message.stamp_ns or message.receive_ns
    if not message.value.points:
        return begin_ns
    last = message.value.points[-1].time_from_start
    return begin_ns + int(last.sec) * 1_000_000_000 + int(last.nanosec)
