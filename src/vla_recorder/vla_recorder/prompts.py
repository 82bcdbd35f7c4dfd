"""The prompts of a task: a list with the episodes wanted of each, and how many there are in a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field as Constraint

from vla_core import config
from vla_core.episodes import EpisodeReader, list_episodes
from vla_core.errors import ConfigError, EpisodeError
from vla_recorder.status import PromptCount

Prompt = Annotated[str, Constraint(min_length=1, pattern=r"^\S(.*\S)?$")]


@dataclass(frozen=True)
class WantedPrompt:
    """A language instruction, and how many successful episodes of it are wanted."""

    prompt: Prompt
    wanted: Annotated[int, Constraint(gt=0)]


@dataclass(frozen=True)
class PromptList:
    """What is to be recorded for a task. See config/prompts for an example."""

    schema: Literal["vla/prompts/1"]
    prompts: Annotated[tuple[WantedPrompt, ...], Constraint(min_length=1)]
    description: str = ""


def load_prompts(path: Path | str) -> PromptList:
    """Reads a list of prompts from YAML.

    Raises:
        ConfigError: wrong, missing or unknown keys, or a prompt that is there twice.
    """
    found = config.load(PromptList, Path(path))
    twice = [prompt for prompt, count in Counter(entry.prompt for entry in found.prompts).items() if count > 1]
    if twice:
        raise ConfigError(f"{path}: prompts: expected each one once, found {', '.join(map(repr, twice))} again")
    return found


def next_wanted(prompts: Sequence[PromptCount], current: str) -> str:
    """The prompt of a list that comes after the current one and is still wanted, in a circle.

    Where none but the current one is wanted it is that one; where none is wanted any more, the next one of the list. Empty
    only if the list is.
    """
    names = [entry.prompt for entry in prompts]
    start = names.index(current) + 1 if current in names else 0
    circle = [*prompts[start:], *prompts[:start]]
    wanted = [entry.prompt for entry in circle if entry.missing]
    return wanted[0] if wanted else circle[0].prompt if circle else ""


@dataclass
class EpisodeCensus:
    """Counts the successful episodes of each prompt in a folder. A file that was looked at before is not opened again."""

    _seen: dict[tuple[str, int, int], tuple[str, ...]] = field(default_factory=dict)

    def count(self, folder: Path) -> Counter[str]:
        """Prompt to the number of successful episodes in which it was given. Files that cannot be read do not count."""
        seen = self._seen
        self._seen = {}
        for path in list_episodes(folder) if folder.is_dir() else ():
            try:
                found = path.stat()
                key = (path.name, found.st_mtime_ns, found.st_ino)
                self._seen[key] = seen[key] if key in seen else _prompts_of(path)
            except (EpisodeError, OSError):
                continue
        return Counter(prompt for prompts in self._seen.values() for prompt in prompts)


def counts_of(wanted: PromptList | None, recorded: Mapping[str, int]) -> tuple[PromptCount, ...]:
    """The list with what was recorded of it."""
    entries = wanted.prompts if wanted else ()
    return tuple(PromptCount(entry.prompt, entry.wanted, recorded.get(entry.prompt, 0)) for entry in entries)


def _prompts_of(path: Path) -> tuple[str, ...]:
    """The prompts of a successful episode; none of a failed one."""
    with EpisodeReader(path) as episode:
        return episode.info.prompts if episode.info.outcome == "success" else ()
