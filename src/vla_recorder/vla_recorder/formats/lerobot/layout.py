"""Names and rules of a LeRobotDataset 3.0 on disk, as lerobot's datasets/utils.py and dataset_metadata.py have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VERSION = "v3.0"
READABLE = ("v3.0", "v2.1", "v2.0")

INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EXTRAS = "meta/vla.json"  # ours: what an episode says and LeRobot has no place for
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"

OLD_TASKS = "meta/tasks.jsonl"
OLD_EPISODES = "meta/episodes.jsonl"

CHUNK_FILES = 1000  # files of a folder
DATA_FILE_MB = 100
VIDEO_FILE_MB = 200

STATE = "observation.state"
ACTION = "action"
IMAGES = "observation.images."
GROUPS = {"qpos": STATE, "qvel": "observation.velocity", "effort": "observation.effort"}
OURS = "vla."  # columns that hold exactly what LeRobot's own hold rounded, or not at all

# columns that every data set has, in this order after the others
FRAME_FEATURES: Mapping[str, Mapping[str, Any]] = {
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    "frame_index": {"dtype": "int64", "shape": [1], "names": None},
    "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    "index": {"dtype": "int64", "shape": [1], "names": None},
    "task_index": {"dtype": "int64", "shape": [1], "names": None},
}


def next_file(chunk: int, file: int) -> tuple[int, int]:
    """The chunk and number of the file after one."""
    return (chunk + 1, 0) if file == CHUNK_FILES - 1 else (chunk, file + 1)
