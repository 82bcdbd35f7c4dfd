"""Which rows and actions a window has, and where it is padded: against a search through everything, for generated episodes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.episodes.indexed import FileState, IndexedEpisode
from vla_core.errors import EpisodeError
from vla_policies.data.rows import Rows
from vla_policies.data.window import WindowSpec

MARKED_SOURCES = ("scene", "wrist", "joints", "arm_command", "fingers")


@st.composite
def episodes(draw, embodiment):
    """Up to three episodes with dropped steps, times that are not exact, marks, and a policy that drives now and then."""
    return [_episode(draw, embodiment, number) for number in range(draw(st.integers(1, 3)))]


def _episode(draw, embodiment, number: int) -> IndexedEpisode:
    slots = np.cumsum([0, *draw(st.lists(st.sampled_from([1, 1, 1, 1, 2, 3, 0]), max_size=9))])
    steps = len(slots)
    jitter = draw(st.lists(st.integers(-400, 400), min_size=steps, max_size=steps))
    jitter[0] = 0

    def flags():
        return np.array(draw(st.lists(st.sampled_from([True, True, True, False]), min_size=steps, max_size=steps)))

    counter = 1000.0 * number + np.arange(steps)
    return IndexedEpisode(
        path=Path(f"episode_{number}.hdf5"),
        state=FileState(0, 0),
        embodiment=embodiment,
        sim=draw(st.booleans()),
        prompts=("",),
        vectors={"action": np.stack([counter**2, -counter], axis=1), "qpos": counter[:, None]},
        stamps_ns=7_000_000_000 + slots * embodiment.step_ns + np.array(jitter) * embodiment.step_ns // 1000,
        prompt_index=np.zeros(steps, np.int64),
        policy_drives=~flags(),
        valid={name: flags() for name in draw(st.sets(st.sampled_from(MARKED_SOURCES)))},
        cameras={},
    )


SPECS = st.builds(
    WindowSpec,
    horizon=st.integers(1, 12),
    history=st.integers(1, 5),
    cameras=st.just(("scene",)),
    padding=st.sampled_from(["repeat", "zeros"]),
    gaps=st.sampled_from(["interpolated", "ignored"]),
    alignment=st.sampled_from(["stamps", "act"]),
    marked=st.sampled_from(["skipped", "kept"]),
    drivers=st.sampled_from(["all", "human", "policy"]),
)


class BruteForce:
    """The windows of one episode, found by looking at every row for every question."""

    def __init__(self, episode: IndexedEpisode, spec: WindowSpec) -> None:
        self.episode, self.spec = episode, spec
        self.steps = range(len(episode))
        period = episode.embodiment.step_ns
        times = [(int(stamp) - int(episode.stamps_ns[0])) / period for stamp in episode.stamps_ns]
        self.slots = [round(time) if spec.gaps == "interpolated" else row for row, time in enumerate(times)]

    def counts(self, row: int, sources: tuple[str, ...]) -> bool:
        marks = self.episode.valid
        return self.spec.marked == "kept" or all(marks[name][row] for name in sources if name in marks)

    def driven_right(self, row: int) -> bool:
        return self.spec.drivers == "all" or bool(self.episode.policy_drives[row]) == (self.spec.drivers == "policy")

    def observation_counts(self, row: int) -> bool:
        return self.counts(row, ("scene", "joints", "fingers"))  # qpos is of the last two

    def drawable(self) -> list[int]:
        return [row for row in self.steps if self.observation_counts(row) and self.driven_right(row)]

    def history(self, row: int) -> list[tuple[int, bool]]:
        found = []
        for back in range(self.spec.history - 1, -1, -1):
            wanted = self.slots[row] - back
            known = [other for other in self.steps if self.slots[other] <= wanted]
            at = row if back == 0 else max(known, default=0)
            found.append((at, not known or not self.observation_counts(at)))
        return found

    def actions(self, row: int) -> list[tuple[np.ndarray, bool, bool]]:
        early = self.spec.alignment == "act" and not self.episode.sim
        first = max(0, self.slots[row] - early)
        return [self.action(first + k) for k in range(self.spec.horizon)]

    def action(self, slot: int) -> tuple[np.ndarray, bool, bool]:
        """The action of a slot, whether it is padding, and whether a policy drove."""
        last = self.slots[-1]
        values = self.episode.vectors["action"]
        past_end = slot > last
        slot = min(slot, last)
        before = self.slots.index(max(other for other in self.slots if other <= slot))
        after = self.slots.index(min(other for other in self.slots if other >= slot))
        share = (slot - self.slots[before]) / max(1, self.slots[after] - self.slots[before])
        action = values[before] + share * (values[after] - values[before])
        if past_end and self.spec.padding == "zeros":
            action = np.zeros_like(action)
        sources = ("arm_command", "gripper_command")
        true = self.counts(before, sources) and self.counts(after, sources) and self.driven_right(before)
        return action, past_end or not true, bool(self.episode.policy_drives[before]) and not past_end


@settings(max_examples=300, deadline=None)
@given(data=st.data(), spec=SPECS)
def test_windows_are_those_of_a_search_through_everything(embodiment, data, spec) -> None:
    made = data.draw(episodes(embodiment))
    slow = [BruteForce(episode, spec) for episode in made]
    drawable = [(number, row) for number, one in enumerate(slow) for row in one.drawable()]
    if not drawable:
        with pytest.raises(EpisodeError, match="expected steps at which a window may begin"):
            Rows(made, ("scene",), spec)
        return
    rows = Rows(made, ("scene",), spec)
    assert [(rows.episodes[row], row - rows.starts[rows.episodes[row]]) for row in rows.drawable] == drawable
    observed, observation_is_pad = rows.history(rows.drawable)
    actions, action_is_pad, drives = rows.actions(rows.drawable, spec.horizon)
    for place, (number, row) in enumerate(drawable):
        history = slow[number].history(row)
        assert (observed[place] - rows.starts[number]).tolist() == [at for at, _ in history]
        assert observation_is_pad[place].tolist() == [pad for _, pad in history]
        wanted = slow[number].actions(row)
        np.testing.assert_allclose(actions[place], [action for action, _, _ in wanted], rtol=1e-12)
        assert action_is_pad[place].tolist() == [pad for _, pad, _ in wanted]
        assert drives[place].tolist() == [driven for _, _, driven in wanted]


def test_what_is_not_wanted_may_be_marked(embodiment) -> None:
    """A mark on a camera that no window shows is nobody's concern."""
    episode = IndexedEpisode(
        path=Path("episode_0.hdf5"),
        state=FileState(0, 0),
        embodiment=embodiment,
        sim=True,
        prompts=("",),
        vectors={"action": np.zeros((3, 8)), "qpos": np.zeros((3, 8))},
        stamps_ns=np.arange(3) * embodiment.step_ns,
        prompt_index=np.zeros(3, np.int64),
        policy_drives=np.zeros(3, bool),
        valid={"wrist": np.array([True, False, True])},
        cameras={},
    )
    spec = WindowSpec(horizon=2)
    assert Rows([episode], ("scene",), spec).drawable.tolist() == [0, 1, 2]
    assert Rows([episode], ("scene", "wrist"), spec).drawable.tolist() == [0, 2]
    kept = Rows([episode], ("wrist",), dataclasses.replace(spec, marked="kept"))
    assert kept.drawable.tolist() == [0, 1, 2]
    assert kept.valid.tolist() == [True, False, True]
