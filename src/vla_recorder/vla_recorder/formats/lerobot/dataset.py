"""A LeRobotDataset on disk, open for reading: version 3.0, and 2.0 and 2.1, which had a file for each episode."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vla_core.encoded import EncodedImage, encoded_image
from vla_core.episodes import EpisodeInfo
from vla_core.errors import choice
from vla_recorder.formats.conversion import FormatError
from vla_recorder.formats.extras import read_extras
from vla_recorder.formats.lerobot import layout
from vla_recorder.formats.lerobot.tables import numbers, read_table
from vla_recorder.formats.lerobot.video import read_images


@dataclass(frozen=True)
class LeRobotEpisode:
    """Where an episode of a data set is.

    Attributes:
        index: its number.
        length: number of frames.
        table: the parquet file that holds its rows, perhaps among those of others.
        videos: feature to the video and the time at which the episode begins in it [s].
    """

    index: int
    length: int
    table: Path
    videos: Mapping[str, tuple[Path, float]]


class LeRobotDataset:
    """What a data set says about itself, and its episodes' rows and images.

    Args:
        folder: with ``meta/info.json``.

    Raises:
        FormatError: there is no data set, it is of an unknown version, or something in it is missing or broken.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.info = self._read_info()
        self.version: str = self.info.get("codebase_version", "")
        if self.version not in layout.READABLE:
            raise FormatError(f"{folder}: expected the version {choice(layout.READABLE)}, found '{self.version}'")
        self.rate_hz = float(self.info["fps"])
        self.features: Mapping[str, Mapping[str, Any]] = self.info["features"]
        self.tasks = self._read_tasks()
        self.episodes: Sequence[LeRobotEpisode] = tuple(self._list_episodes())
        self.extras: Sequence[EpisodeInfo] = self._read_extras()

    def cameras(self) -> dict[str, str]:
        """Features that are images, with the role that they get here: the last word of their name."""
        kinds = ("video", "image")
        return {name: name.rpartition(".")[2] for name, found in self.features.items() if found["dtype"] in kinds}

    def table(self, episode: LeRobotEpisode) -> pa.Table:
        """The rows of an episode, in the order of its frames."""
        table = read_table(episode.table, episode.index)
        if len(table) != episode.length:
            raise FormatError(
                f"{episode.table}: episode {episode.index}: expected {episode.length} rows, found {len(table)}"
            )
        return table.sort_by("frame_index")

    def column(self, table: pa.Table, name: str) -> NDArray[Any]:
        """A column of numbers (T,) or (T, n)."""
        return numbers(table, name, self.folder)

    def prompts(self, table: pa.Table) -> list[str]:
        """The task of each frame."""
        found = [self.tasks.get(int(index)) for index in self.column(table, "task_index")]
        if None in found:
            raise FormatError(
                f"{self.folder}: expected tasks for all of {self.column(table, 'task_index')}, found {self.tasks}"
            )
        return [task for task in found if task is not None]

    def images(
        self, episode: LeRobotEpisode, table: pa.Table, feature: str
    ) -> Iterator[NDArray[np.uint8] | EncodedImage]:
        """A camera's images (H, W, 3) RGB of an episode, in order; as files where the data set keeps files."""
        if feature in episode.videos:
            path, from_s = episode.videos[feature]
            yield from read_images(path, from_s, self.rate_hz, episode.length)
            return
        for cell in table[feature]:
            image = cell.as_py()
            if image["bytes"] is None:
                raise FormatError(
                    f"{self.folder}: {feature}: expected images in the table, found the path {image['path']}"
                )
            yield encoded_image(image["bytes"])

    def _read_info(self) -> dict[str, Any]:
        path = self.folder / layout.INFO
        if not path.is_file():
            raise FormatError(f"{self.folder}: expected a LeRobot data set with {layout.INFO}, found none")
        try:
            info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            info["fps"], info["features"]
        except (ValueError, KeyError) as error:
            raise FormatError(f"{path}: expected fps and features, found something else: {error}") from error
        return info

    def _read_tasks(self) -> dict[int, str]:
        if self.version == layout.VERSION:
            table = read_table(self.folder / layout.TASKS)
            names = [name for name in table.column_names if name != "task_index"]
            return dict(zip(table["task_index"].to_pylist(), table[names[0]].to_pylist(), strict=True))
        return {entry["task_index"]: entry["task"] for entry in self._lines(layout.OLD_TASKS)}

    def _list_episodes(self) -> Iterator[LeRobotEpisode]:
        if self.version != layout.VERSION:
            for entry in self._lines(layout.OLD_EPISODES):
                yield self._old_episode(entry)
            return
        tables = sorted((self.folder / "meta" / "episodes").glob("*/*.parquet"))
        if not tables:
            raise FormatError(f"{self.folder}: expected meta/episodes/*/*.parquet, found none")
        for table in tables:
            known = read_table(table)
            wanted = [name for name in known.column_names if not name.startswith("stats/")]
            for entry in known.select(wanted).to_pylist():
                yield self._episode(entry)

    def _episode(self, entry: Mapping[str, Any]) -> LeRobotEpisode:
        def place(prefix: str) -> dict[str, int]:
            return {"chunk_index": entry[f"{prefix}/chunk_index"], "file_index": entry[f"{prefix}/file_index"]}

        try:
            videos = {
                name: (
                    self.folder / self.info["video_path"].format(video_key=name, **place(f"videos/{name}")),
                    float(entry[f"videos/{name}/from_timestamp"]),
                )
                for name in self._video_features()
            }
            table = self.folder / self.info["data_path"].format(**place("data"))
            return LeRobotEpisode(entry["episode_index"], entry["length"], table, videos)
        except KeyError as error:
            raise FormatError(f"{self.folder}: meta/episodes: expected the column {error}, found none") from error

    def _old_episode(self, entry: Mapping[str, Any]) -> LeRobotEpisode:
        index = entry["episode_index"]
        names = {"episode_chunk": index // self.info["chunks_size"], "episode_index": index}
        videos = {
            name: (self.folder / self.info["video_path"].format(video_key=name, **names), 0.0)
            for name in self._video_features()
        }
        return LeRobotEpisode(index, entry["length"], self.folder / self.info["data_path"].format(**names), videos)

    def _video_features(self) -> list[str]:
        return [name for name, found in self.features.items() if found["dtype"] == "video"]

    def _lines(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / name
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, ValueError) as error:
            raise FormatError(f"{path}: expected lines of JSON: {error}") from error

    def _read_extras(self) -> Sequence[EpisodeInfo]:
        path = self.folder / layout.EXTRAS
        return read_extras(path.read_text(encoding="utf-8"), str(path)) if path.is_file() else ()
