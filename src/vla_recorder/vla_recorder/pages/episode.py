"""The page of one episode: its cameras, with everything that was recorded beside them, along one time line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vla_core.episodes import EpisodeReader
from vla_recorder.formats.conversion import FormatError, Progress, Silent
from vla_recorder.pages.content import content_of, stream_rows, verdict_on
from vla_recorder.pages.pictures import BUDGET, films_of


def write_episode_page(path: Path, target: Path, progress: Progress | None = None, budget: int = BUDGET) -> None:
    """Writes the page of an episode as one HTML file.

    Args:
        path: the episode.
        target: the file; is replaced.
        progress: is told how far it is.
        budget: of the images, which are made smaller to keep it [B].

    Raises:
        EpisodeError: the episode cannot be read.
        FormatError: the file cannot be written.
    """
    with EpisodeReader(path) as episode:
        films = films_of(episode, progress or Silent(), budget)
        stamps = episode.stamps_ns
        text = template("episode.html").render(
            name=path.name,
            info=episode.info,
            embodiment=episode.info.metadata.embodiment,
            duration_s=float(stamps[-1] - stamps[0]) * 1e-9,
            verdict=verdict_on(episode),
            streams=stream_rows(episode),
            films=films,
            content=as_script(content_of(episode)),
            pictures={film.role: as_script(film.images) for film in films},
        )
    write_page(target, text)


def template(name: str) -> Any:
    """A template of this package."""
    environment = Environment(
        loader=PackageLoader("vla_recorder.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def as_script(value: Any) -> Markup:
    """JSON for a ``<script>`` element, which ends at the first ``</script``, wherever that stands."""
    return Markup(json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


def write_page(target: Path, text: str) -> None:
    """Writes a page, as a whole or not at all. Raises FormatError where that is impossible."""
    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise FormatError(f"{target}: cannot be written: {error.strerror or error}") from error
