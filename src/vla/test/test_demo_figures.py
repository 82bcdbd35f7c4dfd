"""What a demo leaves behind: its figures, its clips, its folder, and what its keys do to a recorder."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from vla.demo_figures import DemoRun, Replayed, figures_of, report_of, video_clips
from vla.demo_folder import EPISODES, FIGURES, REPORT, VIDEO, clear_folder
from vla.figures import statements, tiles
from vla.graph import Bringup
from vla.outputs import write_json
from vla.recorder_keys import KeyRefused, KeyToggle
from vla.report import Replay, ReportedEpisode
from vla_core.action_chunk import ActionChunk
from vla_core.episodes import EpisodeMetadata, EpisodeReader, list_episodes
from vla_core.episodes.synthetic import synthetic_step
from vla_core.errors import ConfigError
from vla_recorder.operations import LocalRecorder
from vla_recorder.session import RecorderSession

PROMISED = {
    "episodes",
    "successes",
    "success_rate",
    "wilson_low",
    "limit_violations",
    "rms_jerk",
    "policy_latency_ms",
    "command_rate_hz",
    "stale_observations",
    "seconds",
}


@pytest.fixture
def run(figures, make_episode, make_trace, embodiment) -> DemoRun:
    trace = make_trace(np.full(7, 0.05))
    chunk = ActionChunk(np.zeros((3, 8)), embodiment.action_names, 0, 33_333_333, 0, "act/7f", 0, 40_000_000)
    return DemoRun(
        began_at=datetime(2026, 1, 1, 12, tzinfo=timezone.utc),
        bringup=Bringup(policy="checkpoints/pick_place", lockstep=True),
        prompt="put the cube on the mark",
        seed=7,
        policy_id="act/7f",
        demonstrations=(ReportedEpisode("demonstration", 1, 3, True, 4.0, make_episode(12)),),
        rollouts=tuple(
            ReportedEpisode(
                "rollout",
                number,
                one["seed"],
                one["success"],
                one["duration_s"],
                make_episode(15),
                trace,
                one["message"],
            )
            for number, one in enumerate(figures["per_episode"], start=1)
        ),
        evaluation=figures,
        chunks=(chunk, dataclasses.replace(chunk, policy_id="replay/episode_0", inference_latency_ns=0)),
        replayed=Replayed(
            {"success": True, "max_error_rad": {"fr3_joint1": 3e-3}},
            Replay("demonstration 1", embodiment.joint_names, np.arange(2.0), np.array([[3e-3] * 7, [-4e-3] * 7])),
        ),
    )


def test_the_json_holds_what_is_promised(run, tmp_path):
    write_json(tmp_path / FIGURES, figures_of(run, tmp_path, tmp_path / VIDEO, 99.0))
    found = json.loads((tmp_path / FIGURES).read_text())
    assert set(found) >= PROMISED
    assert set(found["limit_violations"]) == {"position", "velocity", "acceleration", "jerk"}
    assert set(found["policy_latency_ms"]) == {"p50", "p95", "p99"}
    assert found["robot"] == "sim"
    assert found["seconds"] == 99.0
    assert found["evaluation_seconds"] == 42.0
    assert found["files"]["video"] == str(tmp_path / VIDEO)


def test_the_figures_are_those_of_the_recorded_files(run, embodiment):
    found = figures_of(run, Path(), None, 99.0)
    assert [one["steps"] for one in found["demonstrations"]] == [12]
    assert [one["steps"] for one in found["per_episode"]] == [15, 15, 15]
    assert [one["success"] for one in found["per_episode"]] == [True, False, True]
    assert list(found["streams"]) == [*embodiment.cameras, *embodiment.streams]
    assert found["joints"]["fr3_joint1"]["use"]["velocity"] == pytest.approx(0.05 * 2 * np.pi / 2.62, rel=1e-3)
    assert found["inference_interval_ms"] == pytest.approx(8 / 30 * 1e3)
    assert found["simulated_latency_ms"] == 40.0
    assert found["replay"]["max_rad"] == 4e-3
    assert found["replay"]["rms_rad"] == pytest.approx(np.sqrt((9 + 16) / 2) * 1e-3)
    assert found["replay"]["max_error_rad"] == {"fr3_joint1": 3e-3}


def test_terminal_and_report_say_the_same(run):
    found = figures_of(run, Path(), None, 99.0)
    said = {one.name: one.value for one in statements(found)}
    assert said["success"] == "2 of 3, 66.7 % (95 % interval 20.8 to 93.8)"
    assert said["demonstrations"] == "1 recorded, 12 steps, 4.0 s on average"
    assert said["replay"] == "rms 3.54 mrad, largest 4.00 mrad, the task was done again"
    assert said["took"] == "99 s"
    assert report_of(run, found, None).figures is found


def test_what_should_not_be_alarms(figures):
    assert not any(tile.alarming for tile in tiles(figures))
    figures["limit_violations"]["jerk"] = 1
    figures["stale_observations"] = 2
    assert [tile.value for tile in tiles(figures) if tile.alarming] == ["1", "2"]


def test_the_video_shows_a_demonstration_successes_and_a_failure(run):
    clips = video_clips(run)
    assert [clip.title for clip in clips] == [
        "Demonstration 1 by the scripted expert",
        "Policy act/7f, episode 1",
        "Policy act/7f, episode 3",
        "Policy act/7f, episode 2",
    ]
    assert [clip.success for clip in clips] == [True, True, True, False]
    assert all("simulated" in clip.detail for clip in clips)


def test_the_video_has_as_many_successes_as_fit(run):
    many = tuple(dataclasses.replace(run.rollouts[0], number=number) for number in range(1, 11))
    clips = video_clips(dataclasses.replace(run, rollouts=many), longest_s=1.2 + 4 * 1.3 + 1.0)
    assert len(clips) == 1 + 4  # 12 steps and 15 steps at 30 Hz, and 0.8 s each


# -- the folder --------------------------------------------------------------------------------------------------------


def test_a_new_demo_replaces_an_earlier_one_and_nothing_else(tmp_path):
    folder = tmp_path / "new" / "demo"
    clear_folder(folder)
    (folder / EPISODES).mkdir()
    (folder / EPISODES / "episode_0.hdf5").touch()
    (folder / REPORT).touch()
    (folder / "mine.txt").touch()
    clear_folder(folder)
    assert not (folder / EPISODES).exists()
    assert not (folder / REPORT).exists()
    assert (folder / "mine.txt").exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / EPISODES).mkdir()
    with pytest.raises(
        ConfigError, match="expected a new or empty folder, or that of an earlier demo, found other files"
    ):
        clear_folder(tmp_path)
    assert (tmp_path / EPISODES).is_dir()


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="expected a folder to write to"):
        clear_folder(tmp_path / "file" / "demo")


# -- the keys ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def recorder(tmp_path, embodiment):
    session = RecorderSession(tmp_path / "recorded", EpisodeMetadata("do it", "sim", embodiment))
    yield LocalRecorder(session)
    session.close()


def test_the_keys_record_an_episode(recorder, embodiment):
    told: list[str] = []
    toggle = KeyToggle(recorder, told.append)
    toggle.start()
    for index in range(4):
        recorder.step(synthetic_step(embodiment, index))
    path, steps = toggle.stop(True)
    with EpisodeReader(path) as episode:
        assert (len(episode), episode.info.outcome) == (4, "success")
    assert steps == 4
    assert told == ["key s: recording episode_0.hdf5", "key s: episode_0.hdf5: success, 4 steps"]


def test_the_keys_discard_an_episode_without_success(recorder, embodiment, tmp_path):
    toggle = KeyToggle(recorder, lambda _: None)
    toggle.start()
    recorder.step(synthetic_step(embodiment, 0))
    assert toggle.stop(False) == ("", 0)
    assert list_episodes(tmp_path / "recorded") == []


def test_a_key_that_the_recorder_refuses_is_an_error(recorder):
    toggle = KeyToggle(recorder, lambda _: None)
    toggle.start()
    with pytest.raises(KeyRefused, match=r"key s: .*no step came from the streams"):
        toggle.stop(True)
