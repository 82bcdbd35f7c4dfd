"""Writes a LeRobotDataset 3.0, episode by episode."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeReader
from vla_recorder.formats.conversion import FormatError, Progress
from vla_recorder.formats.extras import Extras
from vla_recorder.formats.lerobot import layout
from vla_recorder.formats.lerobot.features import columns_of, features_of
from vla_recorder.formats.lerobot.pictures import CameraTrack, Pictures, camera_track
from vla_recorder.formats.lerobot.stats import ImageStats, Stats, vector_stats
from vla_recorder.formats.lerobot.tables import TableWriter, column, column_of_files, tasks_table

_MB = 1024 * 1024


class LeRobotWriter:
    """A data set in the making; it can be read when it is closed.

    Args:
        folder: of the data set.
        embodiment: of all its episodes.
        pictures: how images are kept.
        with_ours: whether the columns ``vla.*`` and ``meta/vla.json`` are written too.

    Raises:
        FormatError: the embodiment's rate is not a whole number of steps per second.
    """

    def __init__(self, folder: Path, embodiment: Embodiment, pictures: Pictures, with_ours: bool) -> None:
        rate_hz = embodiment.steps.rate_hz
        if rate_hz != int(rate_hz):
            raise FormatError(f"LeRobot: expected a whole number of steps per second, found {rate_hz:g}")
        self.embodiment = embodiment
        self._folder = folder
        self._rate_hz = int(rate_hz)
        self._with_ours = with_ours
        self._features = features_of(embodiment, "image" if pictures == "images" else "video", with_ours)
        self._tracks: dict[str, CameraTrack] = {
            role: camera_track(folder, role, (camera.height, camera.width), self._rate_hz, pictures)
            for role, camera in embodiment.cameras.items()
        }
        self._data: TableWriter | None = None
        self._files: list[Path] = []
        self._place = (0, 0)
        self._frames = 0
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict[str, Any]] = []
        self._stats: list[dict[str, Stats]] = []
        self._seen = {role: ImageStats() for role in embodiment.cameras}
        self._extras = Extras()

    def add(self, episode: EpisodeReader, progress: Progress) -> None:
        """Appends an episode.

        Raises:
            EpisodeError: it cannot be read.
        """
        number, length = len(self._episodes), len(episode)
        prompts = episode.prompts
        columns = columns_of(episode, self._with_ours) | self._frame_columns(number, prompts)
        stats = {name: vector_stats(values) for name, values in columns.items()}
        cameras, image_stats = self._add_images(episode, progress)
        chunk, file = self._add_table(columns)
        known: dict[str, Any] = {
            "episode_index": number,
            "tasks": list(dict.fromkeys(prompts)),
            "length": length,
            "data/chunk_index": chunk,
            "data/file_index": file,
            "dataset_from_index": self._frames,
            "dataset_to_index": self._frames + length,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        self._episodes.append(known | cameras)
        self._stats.append(stats | image_stats)
        self._extras.add(episode)
        self._frames += length

    def close(self) -> None:
        """Completes the data set."""
        for role, track in self._tracks.items():
            found = track.close()
            self._features[layout.IMAGES + role] = {**self._features[layout.IMAGES + role], "info": found}
        if self._data is not None:
            self._data.close()
        if not self._episodes:
            return
        self._write_episodes()
        self._write(layout.STATS, json.dumps(_lists(self._total_stats()), indent=4))
        self._write(layout.INFO, json.dumps(self._info(), indent=4))
        tasks = TableWriter(self._folder / layout.TASKS)
        tasks.add(tasks_table(list(self._tasks)))
        tasks.close()
        if self._with_ours:
            self._write(layout.EXTRAS, self._extras.text())

    def _frame_columns(self, number: int, prompts: list[str]) -> dict[str, NDArray[Any]]:
        length = len(prompts)
        for prompt in prompts:
            self._tasks.setdefault(prompt, len(self._tasks))
        index = np.arange(length)
        return {
            "timestamp": (index / self._rate_hz).astype(np.float32),
            "frame_index": index,
            "episode_index": np.full(length, number),
            "index": index + self._frames,
            "task_index": np.array([self._tasks[prompt] for prompt in prompts]),
        }

    def _add_images(self, episode: EpisodeReader, progress: Progress) -> tuple[dict[str, Any], dict[str, Stats]]:
        stats = {role: ImageStats(len(episode)) for role in self._tracks}
        for index in range(len(episode)):
            for role, track in self._tracks.items():
                image = episode.image(role, index)
                stats[role].add(index, image)
                track.add(image, episode.encoded_image(role, index))
            progress.advance()
        known: dict[str, Any] = {}
        for role, track in self._tracks.items():
            known |= track.end_episode()
            self._seen[role].join(stats[role])
        return known, {layout.IMAGES + role: one.result() for role, one in stats.items()}

    def _add_table(self, columns: Mapping[str, NDArray[Any]]) -> tuple[int, int]:
        """Writes an episode's rows. Returns the chunk and the number of the file."""
        if self._data is not None and self._data.size >= layout.DATA_FILE_MB * _MB:
            self._data.close()
            self._data, self._place = None, layout.next_file(*self._place)
        if self._data is None:
            chunk, file = self._place
            self._files.append(self._folder / layout.DATA_PATH.format(chunk_index=chunk, file_index=file))
            self._data = TableWriter(self._files[-1])
        arrays: dict[str, pa.Array] = {}
        for name, feature in self._features.items():
            if name in columns:
                arrays[name] = column(columns[name], feature)
            elif (images := self._tracks[name.removeprefix(layout.IMAGES)].column()) is not None:
                arrays[name] = images
        self._data.add(pa.table(arrays))
        return self._place

    def _write_episodes(self) -> None:
        rows = [
            known | {f"stats/{key}/{name}": value.tolist() for key, one in stats.items() for name, value in one.items()}
            for known, stats in zip(self._episodes, self._stats, strict=True)
        ]
        table = TableWriter(self._folder / layout.EPISODES_PATH.format(chunk_index=0, file_index=0))
        table.add(pa.Table.from_pylist(rows))
        table.close()

    def _total_stats(self) -> dict[str, Stats]:
        """Statistics of all episodes, numbers as they stand in the tables."""
        images = {layout.IMAGES + role: seen for role, seen in self._seen.items()}
        return {
            key: images[key].result() if key in images else vector_stats(column_of_files(self._files, key))
            for key in self._stats[0]
        }

    def _info(self) -> dict[str, Any]:
        videos = any(feature["dtype"] == "video" for feature in self._features.values())
        return {
            "codebase_version": layout.VERSION,
            "fps": self._rate_hz,
            "features": self._features,
            "total_episodes": len(self._episodes),
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": layout.CHUNK_FILES,
            "data_files_size_in_mb": layout.DATA_FILE_MB,
            "video_files_size_in_mb": layout.VIDEO_FILE_MB,
            "data_path": layout.DATA_PATH,
            "video_path": layout.VIDEO_PATH if videos else None,
            "robot_type": self.embodiment.name,
            "splits": {"train": f"0:{len(self._episodes)}"},
        }

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _lists(stats: Mapping[str, Stats]) -> dict[str, dict[str, Any]]:
    return {key: {name: value.tolist() for name, value in one.items()} for key, one in stats.items()}
