"""The page of a folder: a row for each episode, with pictures of its beginning, middle and end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_core.episodes import EpisodeInfo, EpisodeReader
from vla_core.episodes.verdict import Verdict
from vla_core.errors import EpisodeError
from vla_recorder.formats.conversion import Progress, Silent
from vla_recorder.pages.content import verdict_on
from vla_recorder.pages.episode import template, write_page
from vla_recorder.pages.pictures import thumbnail

_PICTURES = 3


@dataclass(frozen=True)
class Listed:
    """An episode in the list; without ``info`` it could not be read, and ``problem`` says why."""

    name: str
    info: EpisodeInfo | None = None
    duration_s: float = 0.0
    verdict: Verdict | None = None
    pictures: tuple[str, ...] = ()
    problem: str = ""


def write_list_page(folder: Path, paths: Sequence[Path], target: Path, progress: Progress | None = None) -> None:
    """Writes the page of a folder as one HTML file. An episode that cannot be read is named with the reason.

    Raises:
        FormatError: the file cannot be written.
    """
    progress = progress or Silent()
    progress.begin("pictures", len(paths))
    listed = []
    for path in paths:
        listed.append(_listed(path))
        progress.advance()
    readable = [one for one in listed if one.info is not None]
    text = template("list.html").render(
        folder=folder.resolve().name,
        episodes=listed,
        total_s=sum(one.duration_s for one in readable),
        successes=sum(one.info is not None and one.info.outcome == "success" for one in readable),
        good=sum(one.verdict is not None and one.verdict.good for one in readable),
    )
    write_page(target, text)


def _listed(path: Path) -> Listed:
    try:
        with EpisodeReader(path) as episode:
            stamps = episode.stamps_ns
            role = next(iter(episode.info.metadata.embodiment.cameras), None)
            chosen = np.linspace(0, len(stamps) - 1, _PICTURES).round().astype(int).tolist()
            return Listed(
                name=path.name,
                info=episode.info,
                duration_s=float(stamps[-1] - stamps[0]) * 1e-9,
                verdict=verdict_on(episode),
                pictures=tuple(thumbnail(episode.image(role, index)) for index in chosen) if role else (),
            )
    except EpisodeError as error:
        return Listed(path.name, problem=str(error))
