"""ALOHA's and ACT's episodes: one HDF5 file each, images plain or as JPEG files with ``compress_len``.

Our own format is that layout, so an export only changes how the images are kept. An import reads what others wrote in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_core.encoded import EncodedImage, encoded_image
from vla_core.episodes import EpisodeMetadata, EpisodeReader, schema
from vla_core.observation import Sample, Step
from vla_recorder.formats.conversion import FormatError, Progress, Report
from vla_recorder.formats.derived import Found, derived_embodiment, element_names, require_shape, without_values
from vla_recorder.formats.ours import Images, note_losses, source_of, with_images
from vla_recorder.formats.source import Row, SourceEpisode, write_episode
from vla_recorder.stream_values import assembled

ColorOrder = Literal["rgb", "bgr"]

RATE_HZ = 50.0  # ALOHA's DT of 0.02 s
_NS = 1_000_000_000
_GROUPS = ("qpos", "qvel", "effort")
_NUMBER = re.compile(r"^episode_(\d+)\.hdf5$")


def export_aloha(
    paths: Sequence[Path], target: Path, jpeg: bool, quality: int | None = None, progress: Progress | None = None
) -> Report:
    """Writes episodes whose images are all plain, or all JPEG files with ``compress_len``.

    Nothing is left out: what ALOHA does not know stays under ``/vla``, where its loaders do not look.

    Args:
        paths: the episodes.
        target: folder; they become ``episode_0.hdf5`` and so on, after those that are there.
        jpeg: whether images are JPEG files. Those that are already stay as they are.
        quality: of the JPEG files, 1 to 100; default: what the embodiment says.
        progress: is told how far it is.

    Raises:
        EpisodeError: an episode cannot be read or written.
    """
    report = Report()
    for path in paths:
        with EpisodeReader(path) as episode:
            known = episode.info.metadata.embodiment
            if "qvel" not in known.proprioception:
                report.note("not in the episodes: qvel, which ACT's own loader reads")
            kept = with_images(known, "jpeg" if jpeg else "raw", quality)
            note_losses(known, kept, report)
            written, steps = write_episode(target, source_of(episode, embodiment=kept), progress)
        report.written.append(written)
        report.steps += steps
    report.episodes = len(report.written)
    return report


def is_aloha(path: Path) -> bool:
    """Whether a file is an episode of ALOHA's that is none of ours."""
    try:
        with h5py.File(path, "r") as file:
            ours = schema.VLA in file and schema.Attribute.SCHEMA in file[schema.VLA].attrs
            return "observations/qpos" in file and schema.ACTION in file and not ours
    except OSError:
        return False


def aloha_files(source: Path) -> list[Path]:
    """A file, or the numbered episodes of a folder in their order."""
    if source.is_file():
        return [source]
    numbered = [(match, path) for path in source.glob("*.hdf5") if (match := _NUMBER.match(path.name))]
    return [path for _, path in sorted(numbered, key=lambda entry: int(entry[0].group(1)))]


def import_aloha(
    source: Path,
    target: Path,
    embodiment: Embodiment | None = None,
    rate_hz: float = RATE_HZ,
    prompt: str = "",
    images: Images | None = None,
    color_order: ColorOrder | None = None,
    act_shift: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Writes ALOHA's episodes in our format.

    Args:
        source: an episode, or a folder of them.
        target: folder for the episodes.
        embodiment: of the robot; default: derived from the data.
        rate_hz: steps per second; the layout does not say. An embodiment's own counts instead.
        prompt: the language instruction; the layout has none.
        images: how they are kept; default: as the embodiment says, or as they are.
        color_order: of plain images, and of what a JPEG decoder makes of the others. Default: what the file declares, else
            ``rgb``. Images in ``bgr`` are turned, and JPEG files among them decoded.
        act_shift: pair each observation with the action of the step before, as ACT's loader does where ``sim`` is false.
        progress: is told how far it is.

    Raises:
        FormatError: no such episodes, or they do not hold what they should, or not what the embodiment says.
    """
    report, paths = Report(), aloha_files(source)
    if not paths:
        raise FormatError(f"{source}: expected episode_<number>.hdf5, found none")
    report.note(f"not in the data: real times; the steps are taken to be 1 / {rate_hz:g} s apart, from 0 on")
    if embodiment is None:
        embodiment = _derived(paths, source, rate_hz, images)
        report.note("not in the data: names, units and limits, which are guessed; actions are taken as joint positions")
    elif images:
        embodiment = with_images(embodiment, images)
    for path in paths:
        with _opened(path) as file:
            _note(file, act_shift, report)
            entry = _Source(file, path, embodiment, prompt, color_order, act_shift)
            written, steps = write_episode(target, entry.episode(), progress)
        report.written.append(written)
        report.steps += steps
    report.episodes = len(report.written)
    return report


class _Source:
    """One of ALOHA's episodes, open, on its way."""

    def __init__(
        self,
        file: h5py.File,
        path: Path,
        embodiment: Embodiment,
        prompt: str,
        order: ColorOrder | None,
        act_shift: bool,
    ) -> None:
        self._file = file
        self._path = path
        self._embodiment = embodiment
        self._prompt = prompt
        self._order = order
        self._groups = _groups(file)
        self._actions = _rows(file[schema.ACTION])
        if act_shift and not file.attrs.get(schema.RootAttribute.SIM, False):
            self._actions = np.concatenate([self._actions[:1], self._actions[:-1]])
        sizes = {group: values.shape[1] for group, values in self._groups.items()}
        require_shape(embodiment, sizes, self._actions.shape[1], _cameras(file, path))

    def episode(self) -> SourceEpisode:
        sim = bool(self._file.attrs.get(schema.RootAttribute.SIM, False))
        metadata = EpisodeMetadata(self._prompt, "sim" if sim else "real", self._embodiment)
        return SourceEpisode(self._path.name, metadata, len(self._actions), self._steps, recorder="ALOHA")

    def _steps(self) -> Iterator[Row]:
        embodiment = self._embodiment
        vectors = {
            name: assembled(embodiment, name, self._groups, self._actions, self._absent) for name in embodiment.streams
        }
        for index in range(len(self._actions)):
            stamp_ns = round(index * _NS / embodiment.steps.rate_hz)
            values: dict[str, Any] = {role: self._image(role, index) for role in embodiment.cameras}
            values |= {name: rows[index] for name, rows in vectors.items()}
            yield Row(
                Step(stamp_ns, {name: Sample(stamp_ns, stamp_ns, value) for name, value in values.items()}),
                self._prompt,
            )

    def _image(self, role: str, index: int) -> NDArray[np.uint8] | EncodedImage:
        dataset = self._file[schema.image(role)]
        declared = dataset.attrs.get(schema.DatasetAttribute.COLOR_ORDER, "rgb")
        turned = (self._order or declared) == "bgr"
        if dataset.ndim == 4:
            image: NDArray[np.uint8] = dataset[index]
            return np.ascontiguousarray(image[:, :, ::-1]) if turned else image
        encoded = _jpeg(dataset, index)
        return np.ascontiguousarray(encoded.decode()[:, :, ::-1]) if turned else encoded

    def _absent(self, name: str) -> NDArray[np.float64]:
        raise without_values(self._path, self._embodiment, name)


def _derived(paths: Sequence[Path], source: Path, rate_hz: float, images: Images | None) -> Embodiment:
    """An embodiment for episodes that come without one: sizes from the first, ranges from all."""
    actions = []
    for path in paths:
        with _opened(path) as file:
            actions.append(_rows(file[schema.ACTION]))
    with _opened(paths[0]) as file:
        groups, cameras = _groups(file), _cameras(file, paths[0])
        kept: Images = "jpeg" if all(file[schema.image(role)].ndim == 2 for role in cameras) and cameras else "raw"
    widths = {one.shape[1] for one in actions}
    if len(widths) != 1:
        raise FormatError(f"{source}: expected actions of one size in all episodes, found {sorted(widths)}")
    return derived_embodiment(
        Found(
            name=source.stem,
            source=f"ALOHA's episodes in {source.name}",
            rate_hz=rate_hz,
            groups={group: element_names(None, values.shape[1], group) for group, values in groups.items()},
            actions=np.concatenate(actions),
            action_names=element_names(None, widths.pop(), "joint"),
            cameras=cameras,
            images=images or kept,
        )
    )


def _note(file: h5py.File, act_shift: bool, report: Report) -> None:
    if "base_action" in file:
        report.note("left out: base_action, the commands of a mobile base")
    if not file.attrs.get(schema.RootAttribute.SIM, False) and not act_shift:
        report.note(
            "kept as it is: sim is false, where ACT's loader pairs each observation with the action before (--act-shift)"
        )


def _groups(file: h5py.File) -> dict[str, NDArray[np.float64]]:
    return {group: _rows(file[f"observations/{group}"]) for group in _GROUPS if f"observations/{group}" in file}


def _cameras(file: h5py.File, path: Path) -> Mapping[str, tuple[int, int]]:
    """Role to height and width. Raises FormatError where images are neither plain nor JPEG."""
    found: dict[str, tuple[int, int]] = {}
    for role, dataset in file.get("observations/images", {}).items():
        if dataset.ndim == 4 and dataset.dtype == np.uint8 and dataset.shape[3] == 3:
            found[role] = dataset.shape[1:3]
        elif dataset.ndim == 2 and dataset.dtype == np.uint8:
            first = _jpeg(dataset, 0)
            found[role] = (first.height, first.width)
        else:
            raise FormatError(
                f"{path}: {dataset.name}: expected images (T, H, W, 3) uint8 or JPEG files (T, n) uint8, found {dataset.shape} "
                f"{dataset.dtype}"
            )
    return found


def _jpeg(dataset: h5py.Dataset, index: int) -> EncodedImage:
    """A JPEG file without the zeros behind it. ``compress_len`` is not needed: a JPEG ends with its marker, which is no zero."""
    return encoded_image(dataset[index].tobytes().rstrip(b"\0"))


def _rows(dataset: h5py.Dataset) -> NDArray[np.float64]:
    return np.asarray(dataset[()], dtype=np.float64)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    if not is_aloha(path):
        raise FormatError(
            f"{path}: expected an episode of ALOHA with /observations/qpos and /action, found something else"
        )
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
