"""``vla demo`` as a person runs it: it ends by itself with everything that it promises, or leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from support import eventually

from vla.environment import child_environment
from vla_core.episodes import EpisodeReader, list_episodes

pytestmark = pytest.mark.ros


def demo(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "vla", "demo", "--policy", "fake", "--out", str(folder), *arguments]


def processes_of(folder: Path) -> list[str]:
    """Command lines of the running processes that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if os.fsencode(folder) in line:
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    paths = os.pathsep.join(path for path in sys.path if path)
    return child_environment() | {"PYTHONPATH": paths, "COLUMNS": "200"}


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A demo of one episode of the fake policy, which waves: it ends well, although the task is not done."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    command = demo(folder, "--episodes", "1", "--seed", "3", "--json", str(folder.parent / "copy.json"))
    return folder, subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)


def test_it_ends_well_and_leaves_no_process(finished):
    folder, done = finished
    assert done.returncode == 0, done.stdout + done.stderr
    assert processes_of(folder) == []


def test_the_figures_are_in_the_json_the_report_and_the_terminal(finished):
    folder, done = finished
    figures = json.loads((folder.parent / "copy.json").read_text())
    assert figures == json.loads((folder / "figures.json").read_text())
    assert (figures["episodes"], figures["successes"], figures["success_rate"]) == (1, 0, 0.0)
    assert figures["wilson_low"] == 0.0
    assert set(figures["limit_violations"].values()) == {0}
    assert 0.0 < figures["rms_jerk"] < 1500.0
    assert figures["command_rate_hz"] == pytest.approx(100.0, rel=0.05)
    assert figures["stale_observations"] == 0
    assert 0.0 < figures["policy_latency_ms"]["p50"] <= figures["policy_latency_ms"]["p99"]
    assert figures["seconds"] > 0.0
    assert len(figures["demonstrations"]) == 3
    report = (folder / "report.html").read_text()
    for shown in (done.stdout, report):
        assert "0 of 1, 0.0 %" in shown
        assert f"{figures['rms_jerk']:.1f} rad/s³" in shown
        assert f"{1e3 * figures['replay']['rms_rad']:.2f} mrad" in shown


def test_limits_measured_from_outside_agree_with_the_simulator(finished):
    figures = json.loads((finished[0] / "figures.json").read_text())
    for kind, share in figures["limit_use"].items():
        assert max(joint["use"][kind] for joint in figures["joints"].values()) == pytest.approx(share)


def test_demonstrations_and_rollouts_are_episodes(finished):
    episodes = list_episodes(finished[0] / "episodes")
    outcomes = []
    for path in episodes:
        with EpisodeReader(path) as episode:
            outcomes.append(episode.info.outcome)
            assert episode.info.metadata.robot == "sim"
            assert episode.info.metadata.prompt == "put the cube on the mark"
            assert episode.info.dropped_steps == 0
    assert outcomes == ["success", "success", "success", "failure"]


def test_the_keys_of_the_recorder_were_pressed(finished):
    pressed = [line.strip() for line in finished[1].stdout.splitlines() if "key s:" in line]
    assert len(pressed) == 6
    names = [f"episode_{number}.hdf5" for number in range(3)]
    assert [line.split()[2] for line in pressed] == [word for name in names for word in ("recording", name)]


def test_the_replay_follows_the_demonstration(finished):
    replay = json.loads((finished[0] / "figures.json").read_text())["replay"]
    assert 0.0 < replay["rms_rad"] < 0.01
    assert replay["success"] is True


def test_the_video_plays(finished):
    with av.open(str(finished[0] / "video.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) > 300
    assert (finished[0] / "video.mp4").stat().st_size < 3_000_000


@pytest.fixture
def interrupted(tmp_path: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A demo that has begun to record."""
    running = subprocess.Popen(
        demo(tmp_path / "out", "--no-video"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with running:
        yield running
        running.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_leaves_no_process(interrupted, tmp_path, number, code):
    eventually(lambda: list(tmp_path.glob("out/episodes/*.partial")) or interrupted.poll() is not None, within_s=120)
    assert interrupted.poll() is None, interrupted.stdout.read()
    assert len(processes_of(tmp_path)) > 1
    interrupted.send_signal(number)
    said, _ = interrupted.communicate(timeout=60)
    assert interrupted.returncode == code, said
    assert "Traceback" not in said
    assert processes_of(tmp_path) == []
