"""How a status looks: everything that an operator must know is there, at any width."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from vla_core.alignment import StreamStatus
from vla_recorder.line_editor import LineEditor
from vla_recorder.status import PromptCount, RecorderState, RecorderStatus
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
    failures=2,
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


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_running_episode_shows_all_that_matters(width: int) -> None:
    text = " ".join(text_of(RECORDING, width=width).split())
    for piece in (
        "● REC",
        "0:12.4",
        "371 rows",
        "episode_12.hdf5",
        "12 saved, 2 of them failed",
        "pick up the cube",
        "→ failure",
    ):
        assert piece in text
    for piece in (
        "9 waiting for the disk",
        "! 3 steps dropped: wrist missing in 3",
        "s stop",
        "d discard",
        "g success",
        "r again",
    ):
        assert piece in text
    assert all(len(line) <= width for line in text_of(RECORDING, width=width).splitlines())


def test_the_keys_fit_in_one_line_of_80() -> None:
    status = dataclasses.replace(RECORDING, outcome="success", prompts=(PromptCount("pick up the cube", 5, 1),))
    last = text_of(status, width=80).splitlines()[-1]
    assert " ".join(last.split()) == "s stop d discard f failure r again p prompt n next h help q quit"


@pytest.mark.parametrize(("width", "columns"), [(40, 1), (80, 2), (120, 3)])
def test_streams_stand_below_each_other_in_as_many_columns_as_there_is_room_for(width: int, columns: int) -> None:
    lines = text_of(RECORDING, width=width).splitlines()
    rows = [line for line in lines if "Hz  " in line or " -  " in line]
    assert len(rows) == -(-len(STREAMS) // columns)
    assert len({row.index(stream.name) for row, stream in zip(rows, STREAMS[::columns], strict=True)}) == 1


def test_each_stream_shows_its_rate_age_and_problem() -> None:
    text = " ".join(text_of(RECORDING, width=250).split())
    assert "✓ scene 30 Hz 12 ms" in text
    assert "! wrist 14 Hz 31 ms" in text
    assert "! wrist: slow: 30 Hz expected" in text
    assert "✗ joints 1000 Hz 4 s" in text
    assert "✗ joints: silent for 4.2 s" in text
    assert "✗ gripper_command - -" in text
    assert "✗ gripper_command: nothing received" in text
    assert "nan" not in text


def test_the_prompts_of_a_list_show_what_is_still_wanted() -> None:
    prompts = (PromptCount("pick", 50, 12), PromptCount("place", 20, 17), PromptCount("push", 5, 9))
    status = RecorderStatus(RecorderState.IDLE, prompt="pick", prompts=prompts)
    text = text_of(status)
    assert "“pick”  12 of 50   3 of other prompts wanted" in text
    assert " n  next" in text
    assert "“push”  9 of 5 ✓   41 of other prompts wanted" in text_of(dataclasses.replace(status, prompt="push"))
    assert " n " not in text_of(RECORDING)


def test_the_last_episode_is_judged_until_the_next_one_begins() -> None:
    good = RecorderStatus(RecorderState.IDLE, episode_path="/data/episode_3.hdf5", episodes=4)
    assert "✓ episode_3.hdf5 is good" in text_of(good)
    bad = dataclasses.replace(good, last_good=False, verdict="wrist came at 17 Hz, 30 expected\n240 ms gap at step 312")
    expected = "! episode_3.hdf5: wrist came at 17 Hz, 30 expected; 240 ms gap at step 312   r records it again"
    assert expected in text_of(bad)
    assert " r  again" in text_of(bad)
    assert "episode_3.hdf5:" not in text_of(dataclasses.replace(bad, state=RecorderState.RECORDING))
    assert "is good" not in text_of(RecorderStatus(RecorderState.IDLE))


def test_the_room_on_the_disk_is_shown_and_warned_of() -> None:
    status = RecorderStatus(RecorderState.IDLE, disk_free_bytes=48_200_000_000, disk_free_s=51_000.0)
    assert "48.2 GB free, 14 h" in text_of(status)
    low = dataclasses.replace(status, disk_free_s=480.0)
    assert "\x1b[33m, 8 min" in text_of(low, color="standard")
    assert "\x1b[33m" not in text_of(dataclasses.replace(status, prompt="pick"), color="standard")
    assert "48.2 GB free\n" in text_of(dataclasses.replace(status, disk_free_s=float("nan")))


def test_problems_are_in_colour_and_what_is_well_is_not() -> None:
    text = text_of(RECORDING, width=250, color="standard")
    yellow, red = "\x1b[33m", "\x1b[1;31m"
    assert f"{yellow} wrist " in text
    assert f"{red} gripper_command " in text
    assert f"{yellow} scene " not in text
    assert f"{red} scene " not in text


@pytest.mark.parametrize(
    ("state", "label"),
    [(RecorderState.IDLE, "READY"), (RecorderState.FINISHING, "SAVING"), (RecorderState.FAILED, "FAILED")],
)
def test_every_state_has_its_label_and_its_keys(state: RecorderState, label: str) -> None:
    text = " ".join(text_of(RecorderStatus(state, message="why")).split())
    assert label in text
    assert "s start" in text
    assert "no prompt" in text
    assert ("✗ why" if state == RecorderState.FAILED else "! why") in text


def test_without_a_recorder_it_says_so() -> None:
    assert "no recorder answers" in text_of(None)


def test_the_prompt_is_shown_with_its_cursor_while_it_is_typed() -> None:
    line = LineEditor()
    for key in (*"pick it", "left", "left"):
        line.press(key)
    text = text_of(RECORDING, line, color="standard")
    assert "pick \x1b[7mi\x1b[0mt" in text
    assert "prompt: pick it" in text_of(RECORDING, line)
    assert "discard" not in text_of(RECORDING, line)
