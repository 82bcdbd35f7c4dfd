"""What an episode says about itself, as JSON beside the data of another format, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from vla_core.episodes import EpisodeInfo, EpisodeReader
from vla_core.episodes.attributes import attributes_at_end, attributes_at_start, info_from
from vla_core.episodes.schema import Attribute
from vla_recorder.formats.conversion import FormatError

SCHEMA = "vla/extras/1"


class Extras:
    """Collects what episodes say about themselves; each embodiment is kept once."""

    def __init__(self) -> None:
        self._embodiments: list[str] = []
        self._episodes: list[dict[str, Any]] = []

    def add(self, episode: EpisodeReader) -> None:
        info = episode.info
        created = datetime.fromisoformat(info.created)
        attributes = attributes_at_start(info.metadata, info.recorder, created)
        attributes |= attributes_at_end(info.outcome, info.summary) | {
            Attribute.STEPS: info.steps,
            Attribute.PROMPTS: json.dumps(info.prompts),
        }
        embodiment = attributes.pop(Attribute.EMBODIMENT)
        if embodiment not in self._embodiments:
            self._embodiments.append(embodiment)
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in attributes.items()}
        self._episodes.append({"embodiment": self._embodiments.index(embodiment), "attributes": plain})

    def text(self) -> str:
        embodiments = [json.loads(embodiment) for embodiment in self._embodiments]
        content = {"schema": SCHEMA, "embodiments": embodiments, "episodes": self._episodes}
        return json.dumps(content, indent=1) + "\n"


def read_extras(text: str, where: str) -> Sequence[EpisodeInfo]:
    """What :class:`Extras` wrote, an entry for each episode.

    Raises:
        FormatError: it is something else.
        EpisodeError: an episode's attributes cannot be read.
    """
    try:
        content: Mapping[str, Any] = json.loads(text)
        if content["schema"] != SCHEMA:
            raise FormatError(f"{where}: expected schema '{SCHEMA}', found '{content['schema']}'")
        embodiments = [json.dumps(embodiment) for embodiment in content["embodiments"]]
        return [
            info_from({**entry["attributes"], Attribute.EMBODIMENT: embodiments[entry["embodiment"]]}, where)
            for entry in content["episodes"]
        ]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise FormatError(f"{where}: expected what was kept of episodes, found something else: {error}") from error
