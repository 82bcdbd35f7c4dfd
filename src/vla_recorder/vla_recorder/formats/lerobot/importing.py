"""A LeRobotDataset as our episodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeMetadata
from vla_core.observation import Sample, Step
from vla_recorder.formats.conversion import FormatError, Progress, Report
from vla_recorder.formats.derived import (
    Found,
    derived_embodiment,
    element_names,
    identifier,
    require_shape,
    without_values,
)
from vla_recorder.formats.lerobot import layout
from vla_recorder.formats.lerobot.dataset import LeRobotDataset, LeRobotEpisode
from vla_recorder.formats.ours import Images, with_end_steps, with_images
from vla_recorder.formats.source import Row, SourceEpisode, write_episode
from vla_recorder.stream_values import assembled

_NS = 1_000_000_000


def import_lerobot(
    folder: Path,
    target: Path,
    embodiment: Embodiment | None = None,
    images: Images | None = None,
    robot: str = "real",
    progress: Progress | None = None,
) -> Report:
    """Writes a data set's episodes in our format.

    One that we exported with its ``vla.*`` columns becomes the episodes that it was. Any other has neither times nor limits: its
    steps are ``1 / fps`` apart, and its embodiment is the one given here, or is derived from the data.

    Args:
        folder: the data set.
        target: folder for the episodes.
        embodiment: of the robot; default: the one kept in the data set, or derived from it.
        images: how the episodes keep their images; default: as the embodiment says.
        robot: what moved, where the data set does not say so.
        progress: is told how far it is.

    Raises:
        FormatError: the data set is broken, or is of another shape than the embodiment.
        EpisodeError: an episode cannot be written.
    """
    dataset, report = LeRobotDataset(folder), Report()
    if not dataset.extras:
        report.note("not in the data set: real times; the steps are 1 / fps apart, from 0 on")
        embodiment = embodiment or _derived(dataset, images or "raw", report)
    for episode in dataset.episodes:
        source = _Source(dataset, episode, embodiment, images, robot)
        _note_encoding(dataset, source.embodiment, report)
        path, steps = write_episode(target, source.episode(), progress)
        report.written.append(path)
        report.steps += steps
    report.episodes = len(report.written)
    return report


class _Source:
    """One episode of a data set, on its way.

    Attributes:
        embodiment: with which it is written.
    """

    def __init__(
        self,
        dataset: LeRobotDataset,
        episode: LeRobotEpisode,
        embodiment: Embodiment | None,
        images: Images | None,
        robot: str,
    ) -> None:
        self._dataset = dataset
        self._episode = episode
        self._known = dataset.extras[episode.index] if dataset.extras else None
        self._table = dataset.table(episode)
        self._groups = {
            group: self._vectors(group, name) for group, name in layout.GROUPS.items() if name in dataset.features
        }
        self._actions = self._vectors("action", layout.ACTION)
        kept = embodiment or (self._known.metadata.embodiment if self._known else None)
        if kept is None:
            raise FormatError(f"{dataset.folder}: expected an embodiment for its episodes, found none")
        cameras = _cameras(dataset)
        require_shape(
            kept,
            {group: values.shape[1] for group, values in self._groups.items()},
            self._actions.shape[1],
            {role: _height_width(dataset.features[feature]) for role, feature in cameras.items()},
        )
        self._cameras = {role: feature for role, feature in cameras.items() if role in kept.cameras}
        self._markers = self._ours("marker", np.zeros(episode.length, np.int64))
        if dataset.extras:
            kept = with_end_steps(_as_kept_there(kept), int(np.count_nonzero(self._markers)))
        self.embodiment = with_images(kept, images) if images else kept
        self._robot = robot

    def episode(self) -> SourceEpisode:
        prompts = self._dataset.prompts(self._table)
        name = f"{self._dataset.folder.name}, episode {self._episode.index}"
        known = self._known
        if known is None:
            metadata = EpisodeMetadata(prompts[0], self._robot, self.embodiment)
            return SourceEpisode(name, metadata, self._episode.length, lambda: self._rows(prompts))
        return SourceEpisode(
            name=name,
            metadata=dataclasses.replace(known.metadata, embodiment=self.embodiment),
            length=self._episode.length,
            rows=lambda: self._rows(prompts),
            outcome=known.outcome,
            summary=lambda: known.summary,
            created=datetime.fromisoformat(known.created),
            recorder=known.recorder,
        )

    def _rows(self, prompts: list[str]) -> Iterator[Row]:
        length = self._episode.length
        frames = self._dataset.column(self._table, "frame_index")
        stamps = self._ours("stamp_ns", np.rint(frames * (_NS / self._dataset.rate_hz)).astype(np.int64))
        drives = self._ours("policy_drives", np.zeros(length, np.int64))
        vectors = {
            name: assembled(self.embodiment, name, self._groups, self._actions, self._beside)
            for name in self.embodiment.streams
        }
        sources = {name: self._ours(f"{name}.stamp_ns", stamps) for name in (*self._cameras, *vectors)}
        valid = {name: self._ours(f"{name}.valid", np.ones(length, np.int64)) for name in sources}
        pictures = {
            role: self._dataset.images(self._episode, self._table, feature) for role, feature in self._cameras.items()
        }
        for index in range(length):
            values: dict[str, Any] = {role: next(images) for role, images in pictures.items()}
            if self._markers[index]:
                continue
            values |= {name: rows[index] for name, rows in vectors.items()}
            at = {name: int(stamps_ns[index]) for name, stamps_ns in sources.items()}
            samples = {name: Sample(at[name], at[name], value) for name, value in values.items()}
            marked = frozenset(name for name, flags in valid.items() if not flags[index])
            yield Row(Step(int(stamps[index]), samples, marked, bool(drives[index])), prompts[index])

    def _vectors(self, ours: str, theirs: str) -> NDArray[np.float64]:
        """A vector's values (T, n): our own exact ones, if the data set has them."""
        return _as_rows(self._ours(ours, self._dataset.column(self._table, theirs)))

    def _beside(self, name: str) -> NDArray[np.float64]:
        values = self._ours(f"{name}.value", None)
        if values is None:
            raise without_values(self._dataset.folder, self.embodiment, name)
        return _as_rows(values)

    def _ours(self, name: str, otherwise: Any) -> Any:
        """A column of ours, if this data set has it."""
        column = layout.OURS + name
        return self._dataset.column(self._table, column) if column in self._table.column_names else otherwise


def _as_kept_there(embodiment: Embodiment) -> Embodiment:
    """The embodiment of an exported episode, without what such a data set does not hold."""
    streams = {name: dataclasses.replace(stream, native=False) for name, stream in embodiment.streams.items()}
    return dataclasses.replace(embodiment, depth_cameras={}, streams=streams)


def _note_encoding(dataset: LeRobotDataset, embodiment: Embodiment, report: Report) -> None:
    """Says where pixels out of videos become JPEG files, which they may have been before the export."""
    for role, feature in _cameras(dataset).items():
        camera = embodiment.cameras.get(role)
        if camera is not None and camera.images == "jpeg" and dataset.features[feature]["dtype"] == "video":
            report.note(
                f"images of '{role}' become JPEG files once more, which costs a little (not with --images lossless)"
            )


def _derived(dataset: LeRobotDataset, images: Images, report: Report) -> Embodiment:
    """An embodiment for a data set that keeps none, over all its episodes."""
    features = dataset.features
    sizes = {group: _size(features[name]) for group, name in layout.GROUPS.items() if name in features}
    if "qpos" not in sizes or layout.ACTION not in features:
        raise FormatError(
            f"{dataset.folder}: expected the features {layout.STATE} and {layout.ACTION}, found {', '.join(features)}"
        )
    cameras = _cameras(dataset)
    used = {*layout.FRAME_FEATURES, *cameras.values(), *(layout.GROUPS[group] for group in sizes), layout.ACTION}
    others = [name for name in features if name not in used]
    if others:
        report.note(f"left out: columns without a place in an episode: {', '.join(others)}")
    report.note("not in the data set: units and limits, which are guessed; actions are taken as joint positions")
    actions = [_as_rows(dataset.column(dataset.table(episode), layout.ACTION)) for episode in dataset.episodes]
    action_dim = _size(features[layout.ACTION])
    return derived_embodiment(
        Found(
            name=dataset.info.get("robot_type") or dataset.folder.name,
            source=f"the LeRobot data set {dataset.folder.name}",
            rate_hz=dataset.rate_hz,
            groups={
                group: element_names(_names(features[layout.GROUPS[group]]), size, group)
                for group, size in sizes.items()
            },
            actions=np.concatenate(actions),
            action_names=element_names(_names(features[layout.ACTION]), action_dim, "joint"),
            cameras={role: _height_width(features[feature]) for role, feature in cameras.items()},
            images=images,
        )
    )


def _cameras(dataset: LeRobotDataset) -> dict[str, str]:
    """Camera role to the feature that holds its images."""
    return {identifier(role): feature for feature, role in dataset.cameras().items()}


def _names(feature: Mapping[str, Any]) -> list[str] | None:
    """Names of a vector's elements: a list, or in older data sets a list inside of a mapping."""
    names = feature.get("names")
    if isinstance(names, Mapping):
        names = next(iter(names.values()), None)
    return [str(name) for name in names] if isinstance(names, list) else None


def _size(feature: Mapping[str, Any]) -> int:
    return int(feature["shape"][0])


def _height_width(feature: Mapping[str, Any]) -> tuple[int, int]:
    """The size of a camera's images; the feature may have the colours first, as ``names`` says."""
    shape, names = list(feature["shape"]), feature.get("names") or []
    if (names and str(names[0]).startswith("channel")) or (not names and shape[0] in (1, 3)):
        return int(shape[1]), int(shape[2])
    return int(shape[0]), int(shape[1])


def _as_rows(values: Any) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64).reshape(len(values), -1)
