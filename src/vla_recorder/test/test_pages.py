"""The pages: one file each, that asks nobody for anything, and shows what is in the episode."""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from vla_core.episodes import EpisodeReader
from vla_recorder.formats.conversion import FormatError, Silent
from vla_recorder.pages import write_episode_page, write_list_page
from vla_recorder.pages.in_rerun import show_in_rerun
from vla_recorder.pages.pictures import films_of

# whatever a browser would fetch: an address in an attribute, a style or a script, other than data inside of the page
REQUEST = re.compile(
    r"""(?:src|href|action)\s*=\s*["'](?!data:|#)|url\(|@import|https?://(?!www\.w3\.org)|fetch\(|import\("""
)


def scripts_of(text: str, selector: str) -> list[Any]:
    return [
        json.loads(found)
        for found in re.findall(rf'<script type="application/json" {selector}>(.*?)</script>', text, re.S)
    ]


@pytest.mark.parametrize("images", ["raw", "jpeg"])
def test_the_page_holds_what_the_episode_holds(tmp_path: Path, small, embodied, images: str) -> None:
    path = small(tmp_path, embodied(images), policy_id="act")
    write_episode_page(path, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    (content,) = scripts_of(text, 'id="content"')
    with EpisodeReader(path) as episode:
        np.testing.assert_allclose(content["time"], (episode.stamps_ns - episode.stamps_ns[0]) * 1e-9, atol=1e-4)
        assert [content["prompts"][k] for k in content["promptIndex"]] == episode.prompts
        assert content["endSteps"] == 2
        assert content["marked"] == {"wrist": [3, 7]}
        assert content["drives"] == [[2, 2], [7, 7]]
        titles = {section["title"]: section["plots"] for section in content["sections"]}
        assert set(titles) >= {"Measured and commanded", "Velocity", "Stream force", "Policy"}
        first = titles["Measured and commanded"][0]
        measured, action = first["series"]
        np.testing.assert_allclose(measured["values"], episode.qpos[:, 0], rtol=1e-4)
        np.testing.assert_allclose(action["values"], episode.actions[:, 0], rtol=1e-4)
        gripper = titles["Measured and commanded"][2]
        assert [series["name"] for series in gripper["series"]] == ["measured", "action"]
        films = scripts_of(text, 'class="film" data-role="wrist"')[0]
        assert len(films) == len(episode)
        shown = cv2.imdecode(np.frombuffer(base64.b64decode(films[5]), np.uint8), 1)[:, :, ::-1]
        assert np.abs(shown.astype(int) - episode.image("wrist", 5)).mean() < 6
        far = scripts_of(text, 'class="film" data-role="far"')[0]
        colors = cv2.imdecode(np.frombuffer(base64.b64decode(far[5]), np.uint8), 1)[:, :, ::-1].astype(int)
        assert colors[2, :, 0].mean() > colors[2, :, 2].mean()  # near: red
        assert colors[-4, :, 2].mean() > colors[-4, :, 0].mean()  # far: blue
        assert re.search(r"<figcaption>far, \d+ to \d+ mm</figcaption>", text)


def test_the_page_asks_nobody_for_anything(tmp_path: Path, small) -> None:
    path = small(tmp_path)
    write_episode_page(path, tmp_path / "page.html")
    write_list_page(tmp_path, [path], tmp_path / "list.html")
    for name in ("page.html", "list.html"):
        assert not REQUEST.search((tmp_path / name).read_text())


def test_a_prompt_cannot_leave_its_place(tmp_path: Path, small) -> None:
    path = small(tmp_path, prompts=("</script><script>alert(1)</script>", "<b>put</b>"))
    write_episode_page(path, tmp_path / "page.html")
    write_list_page(tmp_path, [path], tmp_path / "list.html")
    for name in ("page.html", "list.html"):
        text = (tmp_path / name).read_text()
        assert "<script>alert" not in text
        assert "<b>put" not in text


def test_numbers_that_are_none_are_gaps(tmp_path: Path, small) -> None:
    import h5py

    path = small(tmp_path)
    with h5py.File(path, "a") as file:
        file["observations/qvel"][3] = np.nan
    write_episode_page(path, tmp_path / "page.html")
    (content,) = scripts_of((tmp_path / "page.html").read_text(), 'id="content"')
    velocity = next(section for section in content["sections"] if section["title"] == "Velocity")
    assert velocity["plots"][0]["series"][0]["values"][3] is None


class Counted:
    def begin(self, what: str, total: int | None) -> None:
        self.total = total
        self.done = 0

    def advance(self, count: int = 1) -> None:
        self.done += count


def test_images_keep_a_budget_and_tell_progress(tmp_path: Path, small) -> None:
    with EpisodeReader(small(tmp_path)) as episode:
        counted = Counted()
        scene = films_of(episode, counted)[0]
        assert (scene.every, len(scene.images)) == (1, 12)
        assert counted.done == counted.total == 36  # two cameras and a depth camera
        tight = films_of(episode, counted, budget=sum(len(image) for image in scene.images) // 4)
        assert tight[0].every > 1
        assert len(tight[0].images) == len(range(0, 12, tight[0].every))


def test_the_list_shows_every_episode_and_names_what_is_broken(tmp_path: Path, small) -> None:
    good = small(tmp_path)
    bad = tmp_path / "episode_1.hdf5"
    bad.write_bytes(b"no episode")
    write_list_page(tmp_path, [good, bad], tmp_path / "list.html")
    text = (tmp_path / "list.html").read_text()
    assert text.count("data:image/jpeg;base64,") == 3
    assert "pick up the ball → put it down" in text
    assert "expected a whole HDF5 file" in text


class RecordedRerun(ModuleType):
    """Rerun's functions as far as they are used, which keep what they are given."""

    def __init__(self) -> None:
        super().__init__("rerun")
        self.logged: dict[str, list[tuple[int, Any]]] = {}
        self.step = -1
        for name in ("init", "save"):
            setattr(self, name, lambda *words, **options: None)
        for name in ("DepthImage", "Scalars", "TextLog"):
            setattr(self, name, lambda value, **options: value)

    def set_time(self, timeline: str, sequence: int | None = None, duration: float | None = None) -> None:
        self.step = self.step if sequence is None else sequence

    def log(self, place: str, value: Any) -> None:
        self.logged.setdefault(place, []).append((self.step, value))

    def Image(self, image: np.ndarray) -> Any:  # noqa: N802
        return SimpleNamespace(compress=lambda jpeg_quality: image)


def test_rerun_gets_every_step(tmp_path: Path, small, monkeypatch: pytest.MonkeyPatch) -> None:
    rerun = RecordedRerun()
    monkeypatch.setitem(sys.modules, "rerun", rerun)
    path = small(tmp_path)
    show_in_rerun(path, Silent(), save=tmp_path / "episode.rrd")
    with EpisodeReader(path) as episode:
        assert [step for step, _ in rerun.logged["action"]] == list(range(len(episode)))
        np.testing.assert_array_equal([values for _, values in rerun.logged["action"]], episode.actions)
        np.testing.assert_array_equal(rerun.logged["camera/wrist"][4][1], episode.image("wrist", 4))
        np.testing.assert_array_equal(rerun.logged["depth/far"][4][1], episode.depth("far", 4))
        assert [value[0] for _, value in rerun.logged["policy_drives"]] == episode.policy_drives.tolist()
        assert rerun.logged["prompt"] == [(0, "pick up the ball"), (5, "put it down")]


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path, small) -> None:
    path = small(tmp_path / "episodes")
    (tmp_path / "page.html").mkdir()
    with pytest.raises(FormatError, match=r"page\.html: cannot be written: Is a directory"):
        write_episode_page(path, tmp_path / "page.html")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["episodes", "page.html"]
