"""What a path is: our episodes, a data set of others, or a bag; and its conversion into our format."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import h5py

from vla_core.embodiment import Embodiment
from vla_core.episodes import list_episodes, schema
from vla_recorder.formats.aloha import RATE_HZ, ColorOrder, aloha_files, import_aloha, is_aloha
from vla_recorder.formats.bag import BagImport, beside_episode, import_bag
from vla_recorder.formats.conversion import FormatError, Progress, Report
from vla_recorder.formats.lerobot import import_lerobot
from vla_recorder.formats.lerobot.layout import INFO
from vla_recorder.formats.ours import Images, with_images
from vla_recorder.formats.robomimic import import_robomimic

OURS, ALOHA, LEROBOT, ROBOMIMIC, BAG = "episodes", "aloha", "lerobot", "robomimic", "bag"
_BAG_FILES = (".mcap", ".db3")


@dataclass(frozen=True)
class Said:
    """What a source may not say about itself, and is said for it.

    Attributes:
        embodiment: of the robot; a bag needs one.
        images: how the episodes keep images.
        robot: what moved: ``real``, ``sim`` or ``mock``.
        prompt: language instruction.
        task: identifier of the task.
        outcome: of a bag's episode.
        rate_hz: steps per second of ALOHA's episodes.
        color_order: of ALOHA's images.
        act_shift: pair ALOHA's observations with the action before, as ACT does for real data.
        prompt_topic: of a bag.
        by_arrival: streams of a bag whose header stamps are no good.
        beside: the episode beside which a bag was recorded.
    """

    embodiment: Embodiment | None = None
    images: Images | None = None
    robot: str = "real"
    prompt: str = ""
    task: str = ""
    outcome: str = "success"
    rate_hz: float = RATE_HZ
    color_order: ColorOrder | None = None
    act_shift: bool = False
    prompt_topic: str = ""
    by_arrival: tuple[str, ...] = ()
    beside: Path | None = None


def kind_of(path: Path) -> str:
    """What a path is: ``episodes``, ``aloha``, ``lerobot``, ``robomimic`` or ``bag``.

    Raises:
        FormatError: it is none of these.
    """
    if not path.exists():
        raise FormatError(f"{path}: expected episodes, a data set or a bag, found nothing")
    if path.is_dir():
        return _kind_of_folder(path)
    if path.suffix in _BAG_FILES:
        return BAG
    try:
        with h5py.File(path, "r") as file:
            if schema.VLA in file:
                return OURS
            if "data" in file:
                return ROBOMIMIC
    except OSError:
        pass
    if is_aloha(path):
        return ALOHA
    raise FormatError(f"{path}: expected an episode, a file of ALOHA or robomimic, or a bag, found something else")


def import_any(path: Path, target: Path, said: Said, progress: Progress | None = None) -> Report:
    """Writes what a path holds as our episodes.

    Raises:
        FormatError: it is something else, or holds too little.
        BagError: a bag is broken, or lacks a topic.
        EpisodeError: an episode cannot be written.
    """
    kind = kind_of(path)
    if kind == BAG:
        return import_bag(path, target, _of_bag(path, said), progress)
    if kind == LEROBOT:
        return import_lerobot(path, target, said.embodiment, said.images, said.robot, progress)
    if kind == ROBOMIMIC:
        return import_robomimic(path, target, said.images, progress)
    if kind == ALOHA:
        return import_aloha(
            path,
            target,
            embodiment=said.embodiment,
            rate_hz=said.rate_hz,
            prompt=said.prompt,
            images=said.images,
            color_order=said.color_order,
            act_shift=said.act_shift,
            progress=progress,
        )
    raise FormatError(f"{path}: these are episodes already; expected a format to convert them to")


def _of_bag(path: Path, said: Said) -> BagImport:
    if said.beside is not None:
        beside = beside_episode(said.beside)
        return dataclasses.replace(beside, embodiment=_kept_as(beside.embodiment, said.images))
    if said.embodiment is None:
        raise FormatError(f"{path}: expected the embodiment that says which topics of the bag are what, found none")
    return BagImport(
        embodiment=_kept_as(said.embodiment, said.images),
        prompt=said.prompt,
        prompt_topic=said.prompt_topic,
        robot=said.robot,
        task=said.task,
        outcome=said.outcome,
        by_arrival=said.by_arrival,
    )


def _kept_as(embodiment: Embodiment, images: Images | None) -> Embodiment:
    return with_images(embodiment, images) if images else embodiment


def _kind_of_folder(path: Path) -> str:
    if (path / INFO).is_file():
        return LEROBOT
    if (path / "metadata.yaml").is_file():
        return BAG
    files = aloha_files(path)
    if files:
        return ALOHA if is_aloha(files[0]) else OURS
    if list_episodes(path):
        return OURS
    raise FormatError(f"{path}: expected episodes, a LeRobot data set or a bag, found a folder with none of them")
