"""The prompts of a task: the list, what is wanted next, and what is in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_core.errors import ConfigError
from vla_recorder.prompts import EpisodeCensus, load_prompts, next_wanted
from vla_recorder.status import PromptCount

SHIPPED = Path(__file__).parents[3] / "config" / "prompts"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_lists_that_are_shipped_can_be_read(path: Path) -> None:
    found = load_prompts(path)
    assert found.prompts
    assert found.description


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("prompts: []", "prompts: expected"),
        ("prompts: [{prompt: pick it, wanted: 0}]", "prompts[0].wanted: expected"),
        ("prompts: [{prompt: '', wanted: 3}]", "prompts[0].prompt: expected"),
        ("prompts: [{prompt: pick it}]", "prompts[0].wanted: missing"),
        ("prompts: [{prompt: pick it, wanted: 3, count: 2}]", "prompts[0].count: unknown key"),
        (
            "prompts: [{prompt: a, wanted: 3}, {prompt: b, wanted: 1}, {prompt: a, wanted: 2}]",
            "expected each one once, found 'a'",
        ),
    ],
)
def test_a_wrong_list_is_refused_by_what_is_wrong(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "list.yaml"
    path.write_text(f"schema: vla/prompts/1\n{text}\n")
    with pytest.raises(ConfigError) as error:
        load_prompts(path)
    assert reason in str(error.value)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5)), min_size=1, max_size=6), st.integers(-1, 5))
def test_the_next_prompt_is_the_next_in_the_circle_that_is_wanted(counts: list[tuple[int, int]], current: int) -> None:
    prompts = [PromptCount(f"prompt {index}", wanted, recorded) for index, (wanted, recorded) in enumerate(counts)]
    names = [entry.prompt for entry in prompts]
    start = current if 0 <= current < len(prompts) else -1
    found = next_wanted(prompts, names[start] if start >= 0 else "something else")
    distance = (names.index(found) - start - 1) % len(prompts)
    skipped = [prompts[(start + 1 + step) % len(prompts)] for step in range(distance)]
    if any(entry.missing for entry in prompts):
        assert prompts[names.index(found)].missing > 0
        assert all(entry.missing == 0 for entry in skipped)
    else:
        assert skipped == []


def test_nothing_is_next_in_an_empty_list() -> None:
    assert next_wanted([], "pick it") == ""


def test_a_census_of_nothing(tmp_path: Path) -> None:
    census = EpisodeCensus()
    assert census.count(tmp_path / "nowhere") == {}
    (tmp_path / "episode_3.hdf5").write_text("not an episode")
    assert census.count(tmp_path) == {}
