"""How a status looks: everything that an operator must know is there, at any width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from vla_core.alignment import StreamStatus
from vla_recorder.line_editor import LineEditor
from vla_recorder.status import RecorderState, RecorderStatus
from vla_recorder.view import render

STREAMS = (
    StreamStatus("scene", "/scene/image_raw", 30.0, 30.0, 0.012, 900),
    StreamStatus("wrist", "/wrist/image_raw", 14.0, 30.0, 0.031, 400),
    StreamStatus("joints", "/franka/joint_states", 1000.0, 1000.0, 4.2, 9000),
    StreamStatus("gripper_command", "/gripper/command", 0.0, 10.0, float("nan"), 0),
)
RECORDING = RecorderStatus(
    RecorderState.RECORDING,
    message="3 steps dropped: wrist missing in 3",
    episode_path="/data/episodes/episode_12.hdf5",
    prompt="pick up the cube",
    outcome="failure",
    episodes=12,
    steps=371,
    duration_s=12.37,
    queue_steps=9,
    streams=STREAMS,
)


def text_of(
    status: RecorderStatus | None, line: LineEditor | None = None, width: int = 110, color: str | None = None
) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=color is not None, color_system=color)
    console.print(render(status, line))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_running_episode_shows_all_that_matters(width: int) -> None:
    text = " ".join(text_of(RECORDING, width=width).split())
    for piece in ("● REC", "12.4 s", "371 rows", "episode_12.hdf5", "12 saved", "pick up the cube", "→ failure"):
        assert piece in text
    for piece in (
        "9 waiting for the disk",
        "! 3 steps dropped: wrist missing in 3",
        "s stop",
        "d discard",
        "f mark failure",
    ):
        assert piece in text
    assert all(len(line) <= width for line in text_of(RECORDING, width=width).splitlines())


def test_each_stream_shows_its_rate_age_and_problem() -> None:
    text = text_of(RECORDING, width=250)
    assert "scene 30 Hz 12 ms " in text
    assert "wrist 14 Hz 31 ms, slow: 30 Hz expected" in text
    assert "joints 1000 Hz 4 s, silent for 4.2 s" in text
    assert "gripper_command nothing received" in text
    assert "nan" not in text


def test_problems_are_in_colour_and_what_is_well_is_not() -> None:
    text = text_of(RECORDING, width=250, color="standard")
    yellow, red = "\x1b[33m", "\x1b[1;31m"
    assert f"{yellow}wrist " in text
    assert f"{red}gripper_command " in text
    assert f"{yellow}scene " not in text
    assert f"{red}scene " not in text


@pytest.mark.parametrize(
    ("state", "label"),
    [(RecorderState.IDLE, "READY"), (RecorderState.FINISHING, "SAVING"), (RecorderState.FAILED, "FAILED")],
)
def test_every_state_has_its_label_and_its_keys(state: RecorderState, label: str) -> None:
    text = " ".join(text_of(RecorderStatus(state, message="why")).split())
    assert label in text
    assert "s start" in text
    assert "no prompt" in text
    assert "! why" in text


def test_without_a_recorder_it_says_so() -> None:
    assert "no recorder answers" in text_of(None)


def test_the_prompt_is_shown_with_its_cursor_while_it_is_typed() -> None:
    line = LineEditor()
    for key in (*"pick it", "left", "left"):
        line.press(key)
    text = text_of(RECORDING, line, color="standard")
    assert "pick \x1b[7mi\x1b[0mt" in text
    assert "prompt: pick it" in text_of(RECORDING, line)
    assert "mark failure" not in text_of(RECORDING, line)
