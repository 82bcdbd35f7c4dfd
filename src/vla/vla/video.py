"""A short video of recorded episodes: what the cameras saw, side by side, with a caption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vla_core.episodes import EpisodeReader
from vla_core.errors import EmbodimentMismatch, VlaError

Image = NDArray[np.uint8]

_HEIGHT = 384  # of the camera images [px]
_CAPTION = 56  # [px]
_PROGRESS = 6  # [px]
_GAP = 8  # [px]
_HOLD_S = 0.8  # the last image of a clip stands still, with its outcome
_QUALITY = "23"  # constant rate factor of x264
_BACKGROUND, _TEXT, _MUTED = (18, 21, 26), "#e9ecef", "#9aa5b1"
_OUTCOMES = {True: ("success", "#41bd7d"), False: ("failure", "#f07070")}
_DPI = 100


class VideoFailed(VlaError):
    """A video cannot be written."""


@dataclass(frozen=True)
class Clip:
    """An episode of a video.

    Attributes:
        path: the recorded episode.
        title: what it is: ``Policy, episode 3``.
        detail: more about it, smaller: the robot, the prompt.
        success: whether the task was done at the end.
    """

    path: Path
    title: str
    detail: str
    success: bool


def length_s(path: Path) -> float:
    """How long an episode is in a video [s]. Raises EpisodeError if it cannot be read."""
    with EpisodeReader(path) as episode:
        steps = int((episode.markers == 0).sum())
        return steps / episode.info.metadata.embodiment.steps.rate_hz + _HOLD_S


def write_video(path: Path, clips: Sequence[Clip]) -> None:
    """Writes the clips one after the other as MP4 (H.264, yuv420p), in the time in which they were recorded.

    Raises:
        VideoFailed: there is no clip, or the file cannot be written.
        EpisodeError: an episode cannot be read.
        EmbodimentMismatch: the episodes have different cameras or rates.
    """
    if not clips:
        raise VideoFailed(f"{path}: expected at least one episode to show, found none")
    with EpisodeReader(clips[0].path) as episode:
        rate_hz = episode.info.metadata.embodiment.steps.rate_hz
    images = _images(clips, rate_hz)
    first = next(images)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1000))
            stream.height, stream.width = first.shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": _QUALITY, "preset": "veryfast"}
            for image in chain([first], images):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
    except (OSError, av.FFmpegError) as error:
        raise VideoFailed(f"{path}: cannot be written: {error}") from error


def _images(clips: Sequence[Clip], rate_hz: float) -> Iterator[Image]:
    shape: tuple[int, ...] = ()
    for clip in clips:
        with EpisodeReader(clip.path) as episode:
            for image in _clip_images(clip, episode, rate_hz):
                if shape and image.shape != shape:
                    raise EmbodimentMismatch(f"{clip.path}: expected the cameras of {clips[0].path}, found others")
                shape = image.shape
                yield image


def _clip_images(clip: Clip, episode: EpisodeReader, rate_hz: float) -> Iterator[Image]:
    found_hz = episode.info.metadata.embodiment.steps.rate_hz
    if found_hz != rate_hz:
        raise EmbodimentMismatch(f"{clip.path}: expected {rate_hz:g} steps per second, found {found_hz:g}")
    indices = np.flatnonzero(episode.markers == 0)
    cameras = _side_by_side(episode, int(indices[0]))
    running = _caption(clip, cameras.shape[1], ended=False)
    for number, index in enumerate(indices, start=1):
        cameras = _side_by_side(episode, int(index))
        yield _frame(cameras, running, number / len(indices))
    last = _frame(cameras, _caption(clip, cameras.shape[1], ended=True), 1.0)
    for _ in range(round(_HOLD_S * rate_hz)):
        yield last


def _side_by_side(episode: EpisodeReader, index: int) -> Image:
    """The images of all cameras at a step, scaled to one height; both sides even, as yuv420p wants them."""
    parts: list[Image] = []
    for role in episode.info.metadata.embodiment.cameras:
        image = episode.image(role, index)
        height, width = image.shape[:2]
        size = (round(width * _HEIGHT / height / 2) * 2, _HEIGHT)
        method = cv2.INTER_LANCZOS4 if height < _HEIGHT else cv2.INTER_AREA
        parts += [cv2.resize(image, size, interpolation=method), _filled(_HEIGHT, _GAP)]
    return np.concatenate(parts[:-1], axis=1)


def _frame(cameras: Image, caption: Image, progress: float) -> Image:
    """Images, a bar that says how much of the episode is over, and the caption, from top to bottom."""
    bar = _filled(_PROGRESS, cameras.shape[1])
    bar[:, : round(progress * cameras.shape[1])] = (98, 168, 255)
    return np.concatenate([cameras, bar, caption])


def _caption(clip: Clip, width: int, ended: bool) -> Image:
    """The line of text below the images."""
    figure = Figure(figsize=(width / _DPI, _CAPTION / _DPI), dpi=_DPI, facecolor=[c / 255 for c in _BACKGROUND])
    canvas = FigureCanvasAgg(figure)
    margin = 16 / width
    figure.text(margin, 0.68, clip.title, color=_TEXT, fontsize=13, weight="bold", va="center")
    figure.text(margin, 0.26, clip.detail, color=_MUTED, fontsize=9, va="center")
    if ended:
        text, color = _OUTCOMES[clip.success]
        figure.text(1.0 - margin, 0.5, text, color=color, fontsize=15, weight="bold", va="center", ha="right")
    canvas.draw()
    drawn: Image = np.array(canvas.buffer_rgba())[:, :, :3]
    return drawn


def _filled(height: int, width: int) -> Image:
    return np.full((height, width, 3), _BACKGROUND, np.uint8)
