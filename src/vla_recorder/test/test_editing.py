"""Trimming, splitting and merging keep every bit of what they keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vla_core.episodes import EpisodeReader, list_episodes
from vla_recorder.formats.conversion import FormatError
from vla_recorder.formats.editing import episodes_of, merge, split_episode, split_folder, trim


@pytest.mark.parametrize("images", ["raw", "jpeg", "lossless"])
def test_a_trimmed_episode_is_the_rows_between(tmp_path: Path, small, embodied, images: str) -> None:
    source = small(tmp_path / "episodes", embodied(images), policy_id="act")
    written = trim(source, tmp_path / "trimmed", 3, 8).written[0]
    with EpisodeReader(source) as whole, EpisodeReader(written) as part:
        assert len(part) == 5
        assert not part.markers.any()  # the task was not over there
        np.testing.assert_array_equal(part.stamps_ns, whole.stamps_ns[3:8])
        np.testing.assert_array_equal(part.actions, whole.actions[3:8])
        np.testing.assert_array_equal(part.images("wrist"), whole.images("wrist", 3, 8))
        np.testing.assert_array_equal(part.valid("wrist"), whole.valid("wrist")[3:8])
        assert part.prompts == whole.prompts[3:8]
        native = part.native("force").stamps_ns
        assert part.stamps_ns[0] <= native[0] <= native[-1] <= part.stamps_ns[-1]
        assert part.info.created == whole.info.created
        assert part.rollout is None  # its chunk was before


def test_a_part_that_reaches_the_end_keeps_the_end_steps(tmp_path: Path, small) -> None:
    source = small(tmp_path / "episodes")
    written = trim(source, tmp_path / "trimmed", 4, None).written[0]
    with EpisodeReader(source) as whole, EpisodeReader(written) as part:
        np.testing.assert_array_equal(part.stamps_ns, whole.stamps_ns[4:])
        np.testing.assert_array_equal(part.markers, whole.markers[4:])


def test_the_parts_of_a_split_are_the_whole(tmp_path: Path, small) -> None:
    source = small(tmp_path / "episodes")
    report = split_episode(source, tmp_path / "parts", [2, 7])
    with EpisodeReader(source) as whole:
        stamps = []
        for path in report.written:
            with EpisodeReader(path) as part:
                stamps.append(part.stamps_ns)
        np.testing.assert_array_equal(np.concatenate(stamps), whole.stamps_ns)
    assert [len(part) for part in stamps] == [2, 5, 5]


@pytest.mark.parametrize(("start", "stop"), [(5, 5), (0, 11), (12, None)])
def test_a_part_that_is_empty_or_outside_is_refused(tmp_path: Path, small, start: int, stop: int | None) -> None:
    source = small(tmp_path / "episodes")
    with pytest.raises(FormatError, match="expected rows within 0 to 10"):
        trim(source, tmp_path / "trimmed", start, stop)
    assert not (tmp_path / "trimmed").exists()


def test_merged_folders_are_numbered_on_and_their_files_the_same(tmp_path: Path, small) -> None:
    first = [small(tmp_path / "a", steps=4), small(tmp_path / "a", steps=5)]
    second = [small(tmp_path / "b", steps=6)]
    report = merge(episodes_of([tmp_path / "a", *second]), tmp_path / "all")
    merge(second, tmp_path / "all")
    assert [path.name for path in list_episodes(tmp_path / "all")] == [f"episode_{k}.hdf5" for k in range(4)]
    for source, copy in zip([*first, *second], report.written, strict=True):
        assert source.read_bytes() == copy.read_bytes()
    assert not list((tmp_path / "all").glob("*.partial"))


def test_a_folder_is_split_by_shares_always_the_same(tmp_path: Path, small) -> None:
    for steps in range(3, 13):
        small(tmp_path / "all", steps=steps)
    for run in ("one", "two"):
        split_folder(tmp_path / "all", tmp_path / run, {"train": 0.8, "valid": 0.2})
    train, valid = (list_episodes(tmp_path / "one" / name) for name in ("train", "valid"))
    assert (len(train), len(valid)) == (8, 2)
    for path in (*train, *valid):
        assert path.read_bytes() == (tmp_path / "two" / path.parent.name / path.name).read_bytes()
    with pytest.raises(FormatError, match="add up to 1"):
        split_folder(tmp_path / "all", tmp_path / "three", {"train": 0.8, "valid": 0.3})


def test_what_is_no_episode_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="nowhere: expected an episode or a folder of episodes, found nothing"):
        episodes_of([tmp_path / "nowhere"])
    with pytest.raises(FormatError, match="expected episodes, found none"):
        episodes_of([tmp_path])
