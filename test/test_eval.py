"""``vla eval`` as a person runs it: its figures, that they can be had again, and that they are true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from support import EMBODIMENTS

from vla.paths import checkout
from vla.statistics import wilson_interval

KINDS = ("position", "velocity", "acceleration", "jerk")
MEASURED_IN_REAL_TIME = ("seconds", "policy_latency_ms")
SHIPPED = checkout() / "checkpoints" / "pick_place"
pytestmark = pytest.mark.ros


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "vla", "eval", *map(str, arguments)]


@dataclass(frozen=True)
class Evaluated:
    """An evaluation that has ended well: its figures, what it showed, and the folder of its trace."""

    figures: dict[str, Any]
    shown: str
    trace: Path


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evaluated]:
    """Evaluations of the fake policy at the same time: one, the same again, and others with another strategy."""
    strategies = {
        "one": ("receding_horizon",),
        "again": ("receding_horizon",),
        "other": ("temporal_ensembling",),
        "slow": ("real_time_chunking", "--inference-delay-ms", "150"),
    }
    folder = tmp_path_factory.mktemp("eval")
    common = ("--policy", "fake", "--episodes", 2, "--seed", 3, "--limit", 1.2)
    with ExitStack() as stack:
        running = {}
        for name, given in strategies.items():
            outputs = ("--json", folder / f"{name}.json", "--trace", folder / name)
            started = subprocess.Popen(
                command(*common, "--strategy", *given, *outputs),
                env=os.environ | {"COLUMNS": "200"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            running[name] = stack.enter_context(started)
            stack.callback(started.kill)
        shown = {name: process.communicate(timeout=300)[0] for name, process in running.items()}
        assert {name: process.returncode for name, process in running.items()} == dict.fromkeys(running, 0), shown
    return {
        name: Evaluated(json.loads((folder / f"{name}.json").read_text()), shown[name], folder / name)
        for name in strategies
    }


def test_the_figures_say_how_it_went(evaluated: dict[str, Evaluated]) -> None:
    figures = evaluated["one"].figures
    assert (figures["episodes"], figures["successes"], figures["success_rate"]) == (2, 0, 0.0)
    assert (figures["wilson_low"], figures["wilson_high"]) == pytest.approx(wilson_interval(0, 2))
    assert figures["limit_violations"] == dict.fromkeys(KINDS, 0)
    assert 0.0 < figures["rms_jerk"] < 1500.0
    latency = figures["policy_latency_ms"]
    assert 0.0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    assert 90.0 < figures["command_rate_hz"] <= 100.0
    assert (figures["stale_observations"], figures["chunks_refused"]) == (0, 0)
    assert figures["chunks"] >= 2 * 4  # 1.2 s, an inference every 8 steps of 1/30 s
    assert figures["seconds"] > 0.0
    assert [episode["success"] for episode in figures["per_episode"]] == [False, False]
    assert (figures["policy"], figures["task"], figures["seed"], figures["robot"]) == ("fake", "pick_place", 3, "sim")


def test_the_terminal_says_the_same(evaluated: dict[str, Evaluated]) -> None:
    figures, shown = evaluated["one"].figures, evaluated["one"].shown
    assert "0 of 2, 0.0 %" in shown
    assert f"{figures['rms_jerk']:.1f} rad/s³" in shown
    assert f"{figures['command_rate_hz']:.1f} Hz" in shown
    assert "position 0, velocity 0, acceleration 0, jerk 0" in shown


def lasting(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name not in MEASURED_IN_REAL_TIME}


def test_the_same_seed_gives_the_same_figures_and_the_same_commands(evaluated: dict[str, Evaluated]) -> None:
    one, again = evaluated["one"], evaluated["again"]
    assert lasting(one.figures) == lasting(again.figures)
    for path in sorted(one.trace.iterdir()):
        with np.load(path) as first, np.load(again.trace / path.name) as second:
            for name in ("time_ns", "command", "position"):
                np.testing.assert_array_equal(first[name], second[name])


def test_the_other_strategy_keeps_the_limits_too(evaluated: dict[str, Evaluated]) -> None:
    figures = evaluated["other"].figures
    assert figures["strategy"] == "temporal_ensembling"
    assert figures["limit_violations"] == dict.fromkeys(KINDS, 0)
    assert figures["command_rate_hz"] > 90.0
    assert figures["rms_jerk"] != evaluated["one"].figures["rms_jerk"]


def test_real_time_chunking_with_a_slow_policy_loses_no_chunk(evaluated: dict[str, Evaluated]) -> None:
    """The first chunk is conditioned on nothing, and measures the delay that all the others are conditioned on."""
    figures = evaluated["slow"].figures
    assert (figures["strategy"], figures["inference_delay_ms"]) == ("real_time_chunking", 150.0)
    assert figures["limit_violations"] == dict.fromkeys(KINDS, 0)
    assert figures["chunks"] >= 2 * 3
    assert figures["chunks_refused"] == 0
    assert figures["success_rate"] == 0.0
    assert [episode["message"] for episode in figures["per_episode"]] == ["", ""]


# -- the figures, from the trace and the limits alone ----------------------------------------------------------------------


def bound(joint: dict[str, Any], side: str, distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest speed of a joint so far [rad] from the place where its envelope ends, after libfranka."""
    envelope = joint["velocity_envelope"][side]
    allowed = envelope["offset"] + np.sqrt(envelope["gain"] * np.maximum(distance, 0.0))
    return np.clip(allowed, 0.0, joint["velocity"])


def recomputed(command: NDArray[np.float64]) -> tuple[dict[str, int], dict[str, float], float]:
    """Violations and largest shares of the limits in positions (k, 7) [rad] at 1 kHz, and the sum of squared jerks."""
    joints = yaml.safe_load((EMBODIMENTS / "fr3.yaml").read_text())["joints"]
    counts, uses, squares = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS[1:], 0.0), 0.0
    for joint, q in zip(joints, command.T, strict=True):
        counts["position"] += int(((q < joint["position"]["min"]) | (q > joint["position"]["max"])).sum())
        velocity, middle = np.diff(q) * 1e3, (q[1:] + q[:-1]) / 2
        upper = bound(joint, "upper", joint["velocity_envelope"]["upper"]["position"] - middle)
        lower = bound(joint, "lower", middle - joint["velocity_envelope"]["lower"]["position"])
        jerk = np.diff(q, n=3) * 1e9
        shares = {
            "velocity": np.abs(velocity) / np.where(velocity > 0, upper, lower),
            "acceleration": np.abs(np.diff(q, n=2) * 1e6) / joint["acceleration"],
            "jerk": np.abs(jerk) / joint["jerk"],
        }
        for kind, share in shares.items():
            counts[kind] += int((share > 1.0 + 1e-6).sum())
            uses[kind] = max(uses[kind], float(share.max()))
        squares += float((jerk**2).sum())
    return counts, uses, squares


def commands_of(trace: Path) -> Iterator[NDArray[np.float64]]:
    """The positions (k, 7) [rad] that the arm was commanded in each world."""
    for path in sorted(trace.iterdir()):
        with np.load(path) as data:
            assert (np.diff(data["time_ns"]) == 1_000_000).all()
            assert list(data["joint_names"]) == [f"fr3_joint{number}" for number in range(1, 8)]
            assert np.ptp(data["position"][:, 0]) > 0.02  # it waved
            yield data["command"]


@pytest.mark.parametrize("name", ["one", "other"])
def test_the_trace_gives_the_same_violations_and_the_same_jerk(evaluated: dict[str, Evaluated], name: str) -> None:
    figures = evaluated[name].figures
    found = [recomputed(command) for command in commands_of(evaluated[name].trace)]
    assert len(found) == figures["episodes"]
    for kind in KINDS:
        assert sum(counts[kind] for counts, _, _ in found) == figures["limit_violations"][kind]
    for kind in KINDS[1:]:
        assert max(uses[kind] for _, uses, _ in found) == pytest.approx(figures["limit_use"][kind], rel=1e-6)
    jerks = sum(7 * (len(command) - 3) for command in commands_of(evaluated[name].trace))
    assert jerks == 7 * figures["commanded_cycles"]
    assert np.sqrt(sum(squares for _, _, squares in found) / jerks) == pytest.approx(figures["rms_jerk"], rel=1e-6)


def test_a_jump_in_a_trace_would_be_found(evaluated: dict[str, Evaluated]) -> None:
    command = next(commands_of(evaluated["one"].trace)).copy()
    command[500:, 2] += 0.01
    assert recomputed(command)[0] == {"position": 0, "velocity": 1, "acceleration": 2, "jerk": 3}


# -- what cannot be --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (
            ("--strategy", "best", "--policy", "fake"),
            1,
            "strategy: expected 'receding_horizon', 'synchronous', 'temporal_ensembling', 'latest_only', 'weighted_average', "
            "'average', 'conservative' or 'real_time_chunking', found 'best'",
        ),
        (
            ("--policy", "nowhere/at_all"),
            1,
            "policy: expected a checkpoint folder, ws://HOST:PORT or 'fake', found no folder nowhere/at_all",
        ),
        (("--policy", "fake", "--task", "juggle"), 1, "tasks: expected 'pick_place', found 'juggle'"),
        (("--policy", "fake", "--episodes", 0), 2, "Invalid value for '--episodes'"),
    ],
)
def test_wrong_arguments_are_refused_with_one_sentence(arguments: tuple[object, ...], code: int, sentence: str) -> None:
    done = subprocess.run(
        command(*arguments), env=os.environ | {"COLUMNS": "200"}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert code == 2 or len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.skipif(not SHIPPED.is_dir(), reason=f"there is no shipped policy yet, {SHIPPED}")
def test_the_shipped_policy_does_the_task(tmp_path: Path) -> None:
    done = subprocess.run(
        command("--episodes", 3, "--json", tmp_path / "figures.json"), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["successes"] >= 2
    assert figures["limit_violations"] == dict.fromkeys(KINDS, 0)
    assert figures["stale_observations"] == 0
