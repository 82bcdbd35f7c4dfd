"""Where the arm was while a bag was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_recorder.bags.reader import BagError, BagMessage, BagReader

_TYPE = "sensor_msgs/msg/JointState"
_MERGED = "/joint_states"


@dataclass(frozen=True, eq=False)
class ArmPosition:
    """Measured positions of the joints (n,) [rad or m]; stamp_ns: when; receive_ns: when the recorder had them [ns]."""

    stamp_ns: int
    receive_ns: int
    position: NDArray[np.float64]


def command_topic(embodiment: Embodiment) -> str:
    """Where the arm's controller takes trajectories.

    Raises:
        BagError: the embodiment's controller takes none.
    """
    if embodiment.arm.kind != "joint_trajectory":
        raise BagError(
            f"embodiment '{embodiment.name}': expected an arm with a joint trajectory controller to play commands, "
            f"found {embodiment.arm.kind}"
        )
    return f"/{embodiment.arm.name}/joint_trajectory"


def joint_state_topic(bag: BagReader, embodiment: Embodiment) -> str:
    """The topic with the positions of all joints: one that the embodiment declares, ``/joint_states``, or any other.

    Raises:
        BagError: there is none.
    """
    declared = [stream.topic for stream in embodiment.streams.values()]
    known = [topic.name for topic in bag.topics.values() if topic.type == _TYPE and topic.count]
    for name in sorted(known, key=lambda name: (name not in declared, name != _MERGED, name)):
        first = next(bag.messages([name]), None)
        if first is not None and set(embodiment.joint_names) <= set(first.value.name):
            return name
    listed = ", ".join(f"{topic.name} ({topic.type})" for topic in bag.topics.values()) or "none"
    raise BagError(
        f"{bag.path}: expected a topic of {_TYPE} with the joints {list(embodiment.joint_names)}, found only {listed}"
    )


def arm_positions(bag: BagReader, topic: str, embodiment: Embodiment) -> Iterator[ArmPosition]:
    """The joints' positions, by name, in the order of the embodiment. Raises BagError where a message lacks one."""
    for message in bag.messages([topic]):
        yield _position(message, embodiment.joint_names)


def arm_start(bag: BagReader, embodiment: Embodiment) -> ArmPosition:
    """Where the arm was when it got its first command.

    Raises:
        BagError: the bag has no commands for the arm, or no joint states.
    """
    topic = command_topic(embodiment)
    bag.require(topic)
    first = next(bag.messages([topic]), None)
    if first is None:
        raise BagError(f"{bag.path}: {topic}: expected a trajectory, found none")
    start: ArmPosition | None = None
    for found in arm_positions(bag, joint_state_topic(bag, embodiment), embodiment):
        if start is not None and found.receive_ns > first.receive_ns:
            break
        start = found
    if start is None:
        raise BagError(f"{bag.path}: expected joint states, found none")
    return start


def _position(message: BagMessage, names: tuple[str, ...]) -> ArmPosition:
    value = message.value
    missing = [name for name in names if name not in value.name]
    if missing or len(value.position) != len(value.name):
        raise BagError(
            f"{message.topic}: expected a position for each of {list(names)}, found {len(value.position)} positions for "
            f"{list(value.name)}"
        )
    order = [value.name.index(name) for name in names]
    return ArmPosition(message.stamp_ns, message.receive_ns, np.asarray(value.position, dtype=np.float64)[order])
