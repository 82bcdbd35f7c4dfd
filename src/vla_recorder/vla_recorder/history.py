"""The episodes that a recorder has finished, as far as the next ones depend on them."""

from __future__ import annotations

from collections.abc import Mapping

from vla_recorder.files import FinishedEpisode
from vla_recorder.prompts import PromptList, counts_of, next_wanted
from vla_recorder.status import FAILURE, PromptCount


class History:
    """Counts finished episodes, and knows the last one.

    Attributes:
        last: the last finished episode that can be recorded again.
        episodes: finished; one that was recorded again counts once.
        failures: those of them whose outcome is failure.
        prompts: the task's list with what is in the folder of it.
    """

    def __init__(self, wanted: PromptList | None = None) -> None:
        self._wanted = wanted
        self.last: FinishedEpisode | None = None
        self.episodes = 0
        self.failures = 0
        self.prompts: tuple[PromptCount, ...] = counts_of(wanted, {})

    def note(self, ended: FinishedEpisode) -> None:
        """Takes note of a finished episode."""
        if ended.replaced and self.last is not None and self.last.path == ended.path:
            self.episodes -= 1
            self.failures -= self.last.outcome == FAILURE
        self.episodes += 1
        self.failures += ended.outcome == FAILURE
        self.last = ended
        self.count(ended.recorded)

    def count(self, recorded: Mapping[str, int]) -> None:
        """Takes note of the successful episodes of each prompt that are in the folder."""
        self.prompts = counts_of(self._wanted, recorded)

    def prompt_after(self, prompt: str) -> str:
        """The prompt of the next episode: this one until there are enough of it; the first of the list if there is none."""
        if prompt and not any(entry.prompt == prompt and not entry.missing for entry in self.prompts):
            return prompt
        wanted = any(entry.missing for entry in self.prompts)
        return next_wanted(self.prompts, prompt) if wanted else prompt
