"""Cuts bags that real rosbag2 recorded down to what the tests need, and their truth with them.

    python cut.py FOLDER_OF_BAGS .

FOLDER_OF_BAGS holds ``<bag>/`` and ``<bag>.truth.json``. The messages' bytes, times, types and profiles stay as they were
recorded; only the container is written anew, by rosbags, with the same storage and compression.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

_FROM_S, _TO_S = -0.2, 2.6  # since the scene began: the gripper closes at 2 s
_SECOND_NS = 1_000_000_000
_JPEG, _SCENE, _WRIST = "/scene/image_raw/compressed", "/scene/image_raw", "/wrist/image_raw"
_ARM, _MERGED, _WRENCH = "/franka/joint_states", "/joint_states", "/wrench"
_RARE = {_JPEG: 10, _SCENE: 10, _WRIST: 5}  # of these only one in so many
_CONTAINERS = {
    "scene_mcap": (StoragePlugin.MCAP, CompressionMode.STORAGE, ()),
    "scene_sqlite3": (StoragePlugin.SQLITE3, CompressionMode.NONE, (_JPEG, _SCENE, _WRIST, _ARM, _WRENCH)),
    "scene_sqlite3_zstd": (StoragePlugin.SQLITE3, CompressionMode.MESSAGE, (_JPEG, _SCENE, _MERGED, _WRENCH)),
}


def cut(source: Path, truth: Mapping[str, Any], target: Path) -> dict[str, Any]:
    """Writes the cut bag. Returns its truth: per topic the type, receive times, and what the publisher noted."""
    storage, compression, left_out = _CONTAINERS[source.name]
    begin_ns = truth["start_ns"]
    kept: dict[str, list[int]] = {}
    seen: dict[str, int] = {}
    with Reader(source) as reader, _writer(target, storage, compression) as writer:
        connections = {c.id: c for c in reader.connections if c.topic not in left_out}
        copies = {
            c.id: writer.add_connection(
                c.topic,
                c.msgtype,
                msgdef=c.msgdef.data,
                rihs01=c.digest,
                offered_qos_profiles=c.ext.offered_qos_profiles,
            )
            for c in connections.values()
        }
        for connection, receive_ns, data in reader.messages(connections=list(connections.values())):
            index = seen[connection.topic] = seen.get(connection.topic, -1) + 1
            inside = _FROM_S <= (receive_ns - begin_ns) / _SECOND_NS <= _TO_S
            if inside and index % _RARE.get(connection.topic, 1) == 0:
                writer.write(copies[connection.id], receive_ns, data)
                kept.setdefault(connection.topic, []).append(index)
    return {"start_ns": begin_ns, "topics": {name: _part(truth["topics"][name], rows) for name, rows in kept.items()}}


def _writer(target: Path, storage: StoragePlugin, compression: CompressionMode) -> Writer:
    writer = Writer(target, version=9, storage_plugin=storage)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    return writer


def _part(topic: Mapping[str, Any], rows: list[int]) -> dict[str, Any]:
    """The truth of some messages of a topic."""
    part: dict[str, Any] = {"type": topic["type"]}
    for key in ("receive_t", "header_stamp_ns", "frame"):
        if key in topic:
            part[key] = [topic[key][row] for row in rows]
    if topic["type"].startswith("std_msgs/"):
        part["values"] = [topic["values"][row] for row in rows]
    return part


def main() -> None:
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    truths = {}
    for name in _CONTAINERS:
        truth = json.loads((source / f"{name}.truth.json").read_text())
        truths[name] = cut(source / name, truth, target / name)
    (target / "truth.json").write_text(json.dumps(truths, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
