"""Which features a LeRobot data set of an embodiment's episodes has, and an episode's values of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeReader
from vla_core.episodes.layout import unreferenced_streams
from vla_recorder.formats.lerobot.layout import ACTION, FRAME_FEATURES, GROUPS, IMAGES, OURS

Feature = Mapping[str, Any]


def features_of(embodiment: Embodiment, image_kind: str, with_ours: bool) -> dict[str, Feature]:
    """The features of ``meta/info.json``, in the order of the columns.

    Args:
        embodiment: of the episodes.
        image_kind: ``video`` or ``image``: how LeRobot keeps the cameras.
        with_ours: also the columns that take back what LeRobot's own lose: exact numbers, true times.
    """
    features: dict[str, Feature] = {}
    for group, references in embodiment.proprioception.items():
        features[GROUPS[group]] = _vector(embodiment.names_of(references), "float32")
    features[ACTION] = _vector(embodiment.action_names, "float32")
    for role, camera in embodiment.cameras.items():
        shape, names = [camera.height, camera.width, 3], ["height", "width", "channels"]
        features[IMAGES + role] = {"dtype": image_kind, "shape": shape, "names": names}
    if with_ours:
        features |= {name: _ours(embodiment, name) for name in our_columns(embodiment)}
    return features | {name: dict(feature) for name, feature in FRAME_FEATURES.items()}


def our_columns(embodiment: Embodiment) -> tuple[str, ...]:
    """Names of the columns that LeRobot does not know."""
    groups = [f"{OURS}{group}" for group in embodiment.proprioception]
    streams = (*embodiment.cameras, *embodiment.streams)
    stamps = [f"{OURS}{name}.stamp_ns" for name in streams]
    values = [f"{OURS}{name}.value" for name in unreferenced_streams(embodiment)]
    valid = [f"{OURS}{name}.valid" for name in streams if marks(embodiment, name)]
    rows = [f"{OURS}{name}" for name in ("action", "stamp_ns", "marker", "policy_drives")]
    return (*groups, *rows, *stamps, *values, *valid)


def marks(embodiment: Embodiment, name: str) -> bool:
    """Whether a step without a good sample of this stream is kept and marked."""
    sources: Mapping[str, Any] = {**embodiment.cameras, **embodiment.streams}
    return bool(sources[name].align.on_missing == "mark")


def columns_of(episode: EpisodeReader, with_ours: bool) -> dict[str, NDArray[Any]]:
    """An episode's values of all features that are numbers and that it knows itself, (T,) or (T, n)."""
    embodiment = episode.info.metadata.embodiment
    exact = {group: episode.proprioception(group) for group in embodiment.proprioception}
    columns: dict[str, NDArray[Any]] = {GROUPS[group]: values for group, values in exact.items()}
    columns[ACTION] = episode.actions
    if not with_ours:
        return columns
    columns |= {f"{OURS}{group}": values for group, values in exact.items()}
    columns |= {f"{OURS}action": episode.actions, f"{OURS}stamp_ns": episode.stamps_ns}
    columns |= {f"{OURS}marker": episode.markers, f"{OURS}policy_drives": episode.policy_drives.astype(np.int64)}
    for name in (*embodiment.cameras, *embodiment.streams):
        columns[f"{OURS}{name}.stamp_ns"] = episode.stream_stamps_ns(name)
        if marks(embodiment, name):
            columns[f"{OURS}{name}.valid"] = episode.valid(name).astype(np.int64)
    for name in unreferenced_streams(embodiment):
        columns[f"{OURS}{name}.value"] = episode.stream_values(name)
    return columns


def _vector(names: tuple[str, ...], dtype: str) -> Feature:
    return {"dtype": dtype, "shape": [len(names)], "names": list(names)}


def _ours(embodiment: Embodiment, column: str) -> Feature:
    name, _, leaf = column.removeprefix(OURS).partition(".")
    if name == "action":
        return _vector(embodiment.action_names, "float64")
    if name in embodiment.proprioception and not leaf:
        return _vector(embodiment.names_of(embodiment.proprioception[name]), "float64")  # type: ignore[index]
    if leaf == "value":
        references = tuple(f"{name}.{field}" for field in embodiment.streams[name].fields)
        return _vector(embodiment.names_of(references), "float64")
    return {"dtype": "int64", "shape": [1], "names": None}
