"""What an episode lost, counted from the numbers in its images and joint states. Read with h5py alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from bench.support.pictures import read_number
from bench.support.robot import Robot

_EXACT_S = 1e-6


@dataclass
class Losses:
    """Counts over any number of episodes.

    Attributes:
        rows: read.
        joint_messages: kept beside the rows.
        dropped: images and joint messages that are missing between the first and the last of an episode.
        dropped_joint_messages: how many of these are joint messages.
        duplicated: images and joint messages that are there twice.
        misaligned: rows whose images do not belong together, or whose joints are not where they were at the row's time.
        image_bytes: of all images as they are kept.
        missing: stream to the steps that were dropped for it.
        disk_dropped: steps that were dropped because the disk was too slow.
        latency_ms: of the joint messages, from stamp to arrival: the longest of each episode [ms].
    """

    rows: int = 0
    joint_messages: int = 0
    dropped: int = 0
    dropped_joint_messages: int = 0
    duplicated: int = 0
    misaligned: int = 0
    image_bytes: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    disk_dropped: int = 0
    latency_ms: list[float] = field(default_factory=list)

    def add(self, path: Path, robot: Robot, start_ns: int) -> None:
        """Counts an episode."""
        with h5py.File(path, "r") as file:
            numbers = [self._image_numbers(file["observations/images"][role]) for role in robot.roles]
            stamps = file["vla/stamp_ns"][:]
            joint_time_s = file["observations/qpos"][:, 0]
            native = file.get("vla/native/joints/value")
            joints = native[:, 1].astype(np.int64) if native is not None else np.zeros(0, np.int64)
            if native is not None:
                latencies = file["vla/native/joints/receive_ns"][:] - file["vla/native/joints/stamp_ns"][:]
                self.latency_ms.append(float(latencies.max()) * 1e-6)
            self._reasons(dict(file["vla"].attrs))
        self.rows += len(stamps)
        self.joint_messages += len(joints)
        for found in numbers:
            self._count(found)
        before = self.dropped
        self._count(joints)
        self.dropped_joint_messages += self.dropped - before
        wrong_joints = np.abs(joint_time_s - (stamps - start_ns) * 1e-9) > _EXACT_S
        wrong_images = np.any([found != numbers[0] for found in numbers[1:]], axis=0)
        self.misaligned += int(np.sum(wrong_joints | wrong_images))

    def _reasons(self, attributes: Mapping[str, Any]) -> None:
        """What the file itself says about steps that were dropped."""
        missing = {name: found["missing_steps"] for name, found in json.loads(attributes["streams"]).items()}
        self.missing.update({name: count for name, count in missing.items() if count})
        self.disk_dropped += max(0, int(attributes["dropped_steps"]) - max(missing.values()))

    def _image_numbers(self, dataset: Any) -> NDArray[np.int64]:
        found = []
        for stored in dataset:
            image = stored if stored.ndim == 3 else cv2.imdecode(stored, cv2.IMREAD_COLOR)
            self.image_bytes += stored.size if stored.ndim == 3 else int(np.flatnonzero(stored)[-1]) + 1
            found.append(read_number(image))
        return np.array(found, dtype=np.int64)

    def _count(self, numbers: NDArray[np.int64]) -> None:
        steps = np.diff(np.sort(numbers))
        self.duplicated += int(np.sum(steps == 0))
        self.dropped += int(np.sum(steps[steps > 1] - 1))


def recorded_in(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob("*.hdf5"))
