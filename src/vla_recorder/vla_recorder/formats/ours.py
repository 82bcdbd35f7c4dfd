"""Our own episodes as a source: read back into the steps that they were made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

import numpy as np

from vla_core.embodiment import Embodiment
from vla_core.embodiment.schema import Camera
from vla_core.episodes import EpisodeMetadata, EpisodeReader
from vla_core.episodes.beside import Beside, NativeSamples
from vla_core.observation import Sample, Step
from vla_recorder.formats.conversion import Report
from vla_recorder.formats.source import Row, SourceEpisode
from vla_recorder.stream_values import stream_values

Images = Literal["raw", "jpeg", "lossless"]


def source_of(
    episode: EpisodeReader, start: int = 0, stop: int | None = None, embodiment: Embodiment | None = None
) -> SourceEpisode:
    """An open episode, or the part of it from row ``start`` to ``stop`` (without it), to be written anew.

    A part that does not reach the episode's end gets no end steps: the task was not over there. Nor does an episode that was
    recovered, and has none.

    Args:
        episode: stays open while its rows are made.
        start: first row.
        stop: row after the last one; default: all.
        embodiment: with which it is written; default: its own. It may differ in how images are kept.
    """
    known = episode.info
    last = int(np.count_nonzero(episode.markers == 0))
    stop = last if stop is None else min(stop, last)
    embodiment = with_end_steps(embodiment or known.metadata.embodiment, len(episode) - last if stop == last else 0)
    whole = start == 0 and stop == last
    prompts = episode.prompts
    return SourceEpisode(
        name=episode.path.name,
        metadata=_metadata(known.metadata, embodiment, prompts[start]),
        length=stop - start,
        rows=lambda: rows_of(episode, start, stop),
        outcome=known.outcome,
        summary=lambda: known.summary,
        beside=tuple(_beside(episode, None if whole else (start, stop))),
        created=datetime.fromisoformat(known.created),
        recorder=known.recorder,
    )


def rows_of(episode: EpisodeReader, start: int, stop: int) -> Iterator[Row]:
    """The rows from ``start`` to ``stop`` (without it) as the steps that they were made of. JPEG files stay files."""
    embodiment = episode.info.metadata.embodiment
    names = (*embodiment.cameras, *embodiment.depth_cameras, *embodiment.streams)
    stamps, prompts = episode.stamps_ns, episode.prompts
    sources = {name: episode.stream_stamps_ns(name) for name in names}
    valid, drives = {name: episode.valid(name) for name in names}, episode.policy_drives
    vectors = {name: stream_values(episode, name) for name in embodiment.streams}
    for index in range(start, stop):
        values: dict[str, Any] = {name: vectors[name][index] for name in embodiment.streams}
        values |= {
            role: episode.encoded_image(role, index) or episode.image(role, index) for role in embodiment.cameras
        }
        values |= {role: episode.depth(role, index) for role in embodiment.depth_cameras}
        stamp_ns = {name: int(sources[name][index]) for name in names}
        samples = {name: Sample(stamp_ns[name], stamp_ns[name], values[name]) for name in names}
        marked = frozenset(name for name in names if not valid[name][index])
        yield Row(Step(int(stamps[index]), samples, marked, bool(drives[index])), prompts[index])


def with_end_steps(embodiment: Embodiment, count: int) -> Embodiment:
    """The same robot, whose episodes end with so many end steps."""
    return dataclasses.replace(embodiment, steps=dataclasses.replace(embodiment.steps, end_steps=count))


def with_images(embodiment: Embodiment, images: Images, quality: int | None = None) -> Embodiment:
    """The same robot, whose episodes keep the images of all cameras in one way; distances are never JPEG."""

    def changed(camera: Camera) -> Camera:
        return dataclasses.replace(camera, images=images, jpeg_quality=quality or camera.jpeg_quality)

    cameras: Mapping[str, Camera] = {role: changed(camera) for role, camera in embodiment.cameras.items()}
    depth = dict(embodiment.depth_cameras)
    if images != "jpeg":
        depth = {role: dataclasses.replace(camera, images=images) for role, camera in depth.items()}
    return dataclasses.replace(embodiment, cameras=cameras, depth_cameras=depth)


def note_losses(before: Embodiment, after: Embodiment, report: Report) -> None:
    """Says where images that were kept without loss become JPEG files."""
    for role, camera in before.cameras.items():
        if camera.images != "jpeg" and after.cameras[role].images == "jpeg":
            report.note(f"left out: what JPEG loses of the images of '{role}'")


def _metadata(known: EpisodeMetadata, embodiment: Embodiment, prompt: str) -> EpisodeMetadata:
    return dataclasses.replace(known, embodiment=embodiment, prompt=prompt)


def _beside(episode: EpisodeReader, part: tuple[int, int] | None) -> Iterator[Beside]:
    """What is recorded beside the rows, or what of it lies within the time of a part of them."""
    stamps = episode.stamps_ns
    first, last = (0, 0) if part is None else (int(stamps[part[0]]), int(stamps[part[1] - 1]))
    for name, stream in episode.info.metadata.embodiment.streams.items():
        if not stream.native:
            continue
        kept = episode.native(name)
        inside = np.ones(len(kept), bool) if part is None else (kept.stamps_ns >= first) & (kept.stamps_ns <= last)
        yield NativeSamples(name, kept.stamps_ns[inside], kept.receive_ns[inside], kept.values[inside])
    if episode.rollout is None:
        return
    for record in episode.rollout.chunks():
        if part is None or first <= record.chunk.start_ns <= last:
            yield record
