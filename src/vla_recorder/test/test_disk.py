"""The disk of the episodes: how much is free, and whether it is still there."""

from __future__ import annotations

import math
import shutil
import threading
from pathlib import Path

import pytest
from recorder_support import FR3_SIM

from vla_core.episodes import bytes_per_second
from vla_recorder.disk import DiskBudget, DiskState, DiskWatch
from vla_recorder.settings import RecorderSettings
from vla_recorder.sizes import size_text


def test_a_watch_sees_what_is_free_before_the_folder_is_there(tmp_path: Path) -> None:
    watch = DiskWatch(tmp_path / "some" / "episodes")
    state = watch.state()
    watch.close()
    free = shutil.disk_usage(tmp_path).free
    assert state.error == ""
    assert state.free_bytes == pytest.approx(free, rel=0.2)


def test_a_folder_that_was_there_must_stay(tmp_path: Path) -> None:
    folder = tmp_path / "episodes"
    watch = DiskWatch(folder, period_s=1000.0)
    folder.mkdir()
    assert watch.look().error == ""
    folder.rmdir()
    assert watch.look().error == f"{folder} is gone: has it been removed, or its disk been unmounted?"
    (tmp_path / "other").mkdir()  # so that the new folder does not get the number of the old one
    folder.mkdir()
    assert watch.look().error == f"{folder} is another folder than before: has its disk been unmounted?"
    watch.close()


def test_a_watch_looks_again_and_again(tmp_path: Path) -> None:
    folder = tmp_path / "episodes"
    folder.mkdir()
    looked = threading.Event()

    class Watch(DiskWatch):
        def look(self) -> DiskState:
            state = super().look()
            if state.error:
                looked.set()
            return state

    watch = Watch(folder, period_s=0.01)
    folder.rmdir()
    assert looked.wait(20.0)
    watch.close()
    assert "is gone" in watch.state().error


def test_a_disk_that_hangs_is_reported_and_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    looks = []

    class Hanging(DiskWatch):
        def look(self) -> DiskState:
            looks.append(threading.current_thread().name)
            if len(looks) > 1:
                released.wait(20.0)
            return super().look()

    now = [100.0]
    monkeypatch.setattr("vla_recorder.disk.time.monotonic", lambda: now[0])
    watch = Hanging(tmp_path, period_s=0.001)
    now[0] = 107.0
    state = watch.state()
    released.set()
    watch.close()
    assert state.error == f"the disk of {tmp_path} has not answered for 7 s"
    assert state.free_bytes


def test_a_budget_knows_nothing_of_a_disk_that_nobody_looks_at() -> None:
    budget = DiskBudget(RecorderSettings(), FR3_SIM)
    assert budget.refusal(DiskState()) == budget.exhausted(DiskState()) == ""
    assert math.isnan(budget.free_s(DiskState()))


def test_a_budget_goes_by_the_usual_episode() -> None:
    budget = DiskBudget(RecorderSettings(usual_episode_s=60.0, disk_reserve_mb=0.0), FR3_SIM)
    assert budget.usual_s == 60.0
    needed = 60.0 * bytes_per_second(FR3_SIM)
    assert budget.refusal(DiskState(round(1.01 * needed))) == ""
    assert f"expected {size_text(needed)} for one of 60 s" in budget.refusal(DiskState(round(0.99 * needed)))
    for size, duration in ((1_000_000, 10.0), (2_000_000, 20.0), (90_000_000, 90.0)):
        budget.note(size, duration)
    assert budget.usual_s == 20.0
    assert budget.free_s(DiskState(7_000_000)) == pytest.approx(7.0)  # the last one took 1 MB/s
    assert budget.refusal(DiskState(21_000_000)) == ""
    assert budget.refusal(DiskState(19_000_000))


def test_an_episode_without_length_tells_nothing() -> None:
    budget = DiskBudget(RecorderSettings(), FR3_SIM)
    budget.note(1000, 0.0)
    assert budget.usual_s == RecorderSettings().usual_episode_s


def test_raw_images_need_what_they_need() -> None:
    pixels = sum(3 * camera.width * camera.height for camera in FR3_SIM.cameras.values())
    assert bytes_per_second(FR3_SIM) == pytest.approx(pixels * 30, rel=0.1)


@pytest.mark.parametrize(("size", "text"), [(0, "0 MB"), (870e6, "870 MB"), (3.24e9, "3.2 GB"), (1.2e12, "1200.0 GB")])
def test_sizes_are_written_as_people_say_them(size: float, text: str) -> None:
    assert size_text(size) == text
