"""A picture of a replay: every joint recorded and simulated with the error below, the gripper, and the cameras side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from vla.replay.into_sim import Replay
from vla.replay.recording import Array
from vla.replay.tracking import largest, rms
from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeReader

_RECORDED, _SIMULATED, _ERROR = "#9aa0a6", "#1a73e8", "#d93025"
_COLUMNS = 2
_FRAMES = 8
_WIDTH, _PANEL, _STRIP, _HEAD, _FOOT = 13.0, 2.1, 1.15, 0.9, 0.6  # [inch]


def draw(replay: Replay, embodiment: Embodiment, path: Path) -> None:
    """Draws a replay as PNG.

    Args:
        replay: how it went.
        embodiment: of the robot.
        path: of the picture.
    """
    panels = len(embodiment.joints) + (1 if embodiment.gripper and len(replay.recording.gripper) else 0)
    rows = -(-panels // _COLUMNS)
    strips = 2 * len(embodiment.cameras) if replay.recording.kind == "episode" and replay.episode else 0
    height = _HEAD + rows * _PANEL + strips * _STRIP + _FOOT
    layout = ConstrainedLayoutEngine(rect=(0.0, 0.0, 1.0, 1.0 - _HEAD / height))
    figure = Figure(figsize=(_WIDTH, height), dpi=110, layout=layout)
    _title(figure, replay, height)
    ratios = [rows * _PANEL, strips * _STRIP] if strips else [rows * _PANEL]
    parts = figure.subfigures(len(ratios), 1, height_ratios=ratios, squeeze=False)[:, 0]
    _draw_joints(parts[0], replay, embodiment, rows)
    if strips:
        _draw_cameras(parts[1], replay, embodiment)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _title(figure: Figure, replay: Replay, height: float) -> None:
    tracking, recording = replay.tracking, replay.recording
    figures = [
        f"rms error {1e3 * float(rms(tracking.error.reshape(-1, 1))[0]):.2f} mrad",
        f"largest {1e3 * float(largest(tracking.error).max()):.2f} mrad",
        f"{recording.duration_s / replay.speed:.1f} s",
        f"limit violations {replay.quality.violations}",
    ]
    if replay.success is not None:
        figures.append("task done" if replay.success else "task not done")
    top = 1.0 - 0.12 / height
    name = f"{recording.kind} {recording.path.name}, replayed" + (
        "" if replay.speed == 1.0 else f" at {replay.speed:g} times its speed"
    )
    figure.text(0.012, top, name, fontsize=15, weight="bold", va="top")
    figure.text(0.012, top - 0.36 / height, "    ".join(figures), fontsize=11, va="top")
    for place, (colour, label) in enumerate(((_RECORDED, "recorded"), (_SIMULATED, "simulated"), (_ERROR, "error"))):
        figure.text(0.755 + 0.092 * place, top, f"━ {label}", color=colour, fontsize=11, va="top", weight="bold")


def _draw_joints(part: Any, replay: Replay, embodiment: Embodiment, rows: int) -> None:
    """Position above and error below for each joint, all errors on one scale; the gripper last."""
    tracking = replay.tracking
    axes = part.subplots(2 * rows, _COLUMNS, sharex=True, height_ratios=[3, 1.1] * rows, squeeze=False)
    scale = 1.15e3 * max(float(largest(tracking.error).max()), 1e-4)
    for index, name in enumerate(tracking.joint_names):
        above, below = _pair(axes, index)
        above.plot(tracking.times_s, tracking.recorded[:, index], color=_RECORDED, lw=4.0, solid_capstyle="round")
        above.plot(tracking.times_s, tracking.simulated[:, index], color=_SIMULATED, lw=1.3)
        above.set_title(f"{name} [{_unit(embodiment, index)}]", loc="left", fontsize=9.5)
        error = 1e3 * tracking.error[:, index]
        below.axhline(0.0, color="#dddddd", lw=0.8)
        below.fill_between(tracking.times_s, 0.0, error, color=_ERROR, alpha=0.25, lw=0)
        below.plot(tracking.times_s, error, color=_ERROR, lw=1.0)
        below.set_ylim(-scale, scale)
        below.set_ylabel("mrad" if _unit(embodiment, index) == "rad" else "mm", fontsize=8)
    used = len(tracking.joint_names)
    if embodiment.gripper and len(replay.recording.gripper):
        _draw_gripper(_pair(axes, used), replay, embodiment)
        used += 1
    for index in range(used, rows * _COLUMNS):
        for axis in _pair(axes, index):
            axis.set_visible(False)
    for axis in axes.flat:
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.01)
    for axis in axes[-1]:
        axis.set_xlabel("time since the first command [s]", fontsize=9)


def _draw_gripper(pair: tuple[Any, Any], replay: Replay, embodiment: Embodiment) -> None:
    """The recorded target, and where the fingers were."""
    above, below = pair
    recorded_s = _seconds(replay, replay.recording.gripper_ns, moved=True)
    above.step(recorded_s, 1e3 * replay.recording.gripper, where="post", color=_RECORDED, lw=4.0)
    above.set_title("gripper [mm per finger]: recorded target, simulated fingers", loc="left", fontsize=9.5)
    above.tick_params(labelbottom=True)
    below.set_visible(False)
    if replay.episode is None:
        return
    with EpisodeReader(replay.episode) as simulated:
        group = embodiment.proprioception["qpos"]
        state = embodiment.gripper.state if embodiment.gripper else ""
        if state not in group:
            return
        column = len(embodiment.names_of(group[: group.index(state)]))
        times_s = _seconds(replay, simulated.stamps_ns, moved=False)
        shown = times_s <= replay.tracking.times_s[-1]
        above.plot(times_s[shown], 1e3 * simulated.qpos[shown, column], color=_SIMULATED, lw=1.3)


def _draw_cameras(part: Any, replay: Replay, embodiment: Embodiment) -> None:
    """What each camera saw then and now, at the same times."""
    if replay.episode is None:
        return
    with EpisodeReader(replay.recording.path) as recorded, EpisodeReader(replay.episode) as simulated:
        rows = np.linspace(0, len(replay.tracking.times_s) - 1, _FRAMES).round().astype(int)
        at_s = replay.tracking.times_s[rows]
        simulated_s = _seconds(replay, simulated.stamps_ns, moved=False)
        now = [int(np.abs(simulated_s - time_s).argmin()) for time_s in at_s]
        axes = part.subplots(2 * len(embodiment.cameras), _FRAMES, squeeze=False)
        for place, role in enumerate(embodiment.cameras):
            for column, (then_row, now_row) in enumerate(zip(rows, now, strict=True)):
                axes[2 * place, column].imshow(recorded.image(role, int(then_row)))
                axes[2 * place + 1, column].imshow(simulated.image(role, now_row))
            for line, colour, label in ((0, "#5f6368", "recorded"), (1, _SIMULATED, "simulated")):
                axes[2 * place + line, 0].set_ylabel(f"{role}\n{label}", color=colour, fontsize=9)
        for column, time_s in enumerate(at_s):
            axes[0, column].set_title(f"{time_s:.1f} s", fontsize=9)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)


def _pair(axes: Any, index: int) -> tuple[Any, Any]:
    row, column = divmod(index, _COLUMNS)
    return axes[2 * row, column], axes[2 * row + 1, column]


def _seconds(replay: Replay, times_ns: Any, *, moved: bool) -> Array:
    """Times since the replay began [s]; ``moved``: they are recorded ones."""
    timeline = replay.timeline
    if moved:
        return np.asarray((times_ns - timeline.first_ns) * 1e-9 / timeline.speed)
    return np.asarray((times_ns - timeline.start_ns) * 1e-9)


def _unit(embodiment: Embodiment, index: int) -> str:
    return embodiment.action_units[index]
