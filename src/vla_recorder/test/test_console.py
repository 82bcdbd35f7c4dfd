"""Keys, without a terminal: what they are, what they do, and how the line is edited."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_core.alignment import StreamStatus
from vla_recorder.console import KEYS, Notice, OperatorConsole
from vla_recorder.keys import KeyDecoder
from vla_recorder.line_editor import LineEditor
from vla_recorder.operations import Reply
from vla_recorder.problems import Journal, problems_of
from vla_recorder.status import PromptCount, RecorderState, RecorderStatus


class FakeRecorder:
    """Does what it is told, notes the calls, and answers ``reply`` if there is one."""

    def __init__(self, prompt: str = "", prompts: tuple[PromptCount, ...] = ()) -> None:
        self.calls: list[str] = []
        self.reply: Reply | None = None
        self.silent = False
        self._status = RecorderStatus(RecorderState.IDLE, prompt=prompt, prompts=prompts)

    def start(self, redo: bool = False) -> Reply:
        return self._done("start again" if redo else "start", state=RecorderState.RECORDING, outcome="success")

    def stop(self, outcome: str = "") -> Reply:
        return self._done(f"stop {outcome}".strip(), state=RecorderState.IDLE, outcome="")

    def mark(self, outcome: str) -> Reply:
        return self._done(f"mark {outcome}", outcome=outcome)

    def set_prompt(self, prompt: str) -> Reply:
        return self._done(f"set_prompt {prompt}", prompt=prompt)

    def status(self) -> RecorderStatus | None:
        return None if self.silent else self._status

    def _done(self, call: str, **changes: object) -> Reply:
        self.calls.append(call)
        if self.reply is not None:
            return self.reply
        self._status = dataclasses.replace(self._status, **changes)
        return Reply(True, f"done: {call}")


def pressed(*keys: str, recorder: FakeRecorder | None = None) -> tuple[FakeRecorder, OperatorConsole, list[Notice]]:
    recorder = recorder or FakeRecorder()
    notices: list[Notice] = []
    console = OperatorConsole(recorder, notices.append)
    for key in keys:
        console.press(key)
    return recorder, console, notices


@pytest.mark.parametrize(
    ("keys", "calls"),
    [
        ("s", ["start"]),
        ("ss", ["start", "stop"]),
        ("SsS", ["start", "stop", "start"]),
        ("sd", ["start", "stop discarded"]),
        ("sds", ["start", "stop discarded", "start"]),
        ("sfs", ["start", "mark failure", "stop"]),
        ("sfgs", ["start", "mark failure", "mark success", "stop"]),
        ("srs", ["start", "start again", "stop"]),
        ("ssr", ["start", "stop", "start again"]),
        ("xyz1 ", []),
        ("h", []),
    ],
)
def test_keys_are_operations(keys: str, calls: list[str]) -> None:
    assert pressed(*keys)[0].calls == calls


def test_each_operation_is_answered_in_the_colour_of_its_meaning() -> None:
    _, _, notices = pressed("s", "s", "s", "f", "s", "s", "d")
    assert [notice.level for notice in notices] == ["info", "success", "info", "warning", "warning", "info", "warning"]
    recorder = FakeRecorder()
    recorder.reply = Reply(False, "cannot start: the disk is full")
    _, _, notices = pressed("s", recorder=recorder)
    assert notices == [Notice("cannot start: the disk is full", "error")]
    recorder.reply = Reply(False)
    assert pressed("d", recorder=recorder)[2] == [Notice("refused", "error")]


def test_what_was_wrong_with_an_episode_is_told_and_that_it_can_be_recorded_again() -> None:
    recorder, console, notices = pressed("s")
    recorder.reply = Reply(
        True, "episode_3.hdf5 saved, 371 steps", ("wrist came at 17 Hz, 30 expected", "240 ms gap at step 312")
    )
    console.press("s")
    assert [(notice.text, notice.level) for notice in notices[1:]] == [
        ("episode_3.hdf5 saved, 371 steps", "success"),
        ("   wrist came at 17 Hz, 30 expected", "warning"),
        ("   240 ms gap at step 312", "warning"),
        ("   r records it again, in its place", "warning"),
    ]


def test_the_next_prompt_of_the_list_is_set() -> None:
    prompts = (PromptCount("pick", 2, 2), PromptCount("place", 3, 0), PromptCount("push", 1, 0))
    recorder = FakeRecorder("place", prompts)
    assert pressed("n", "n", recorder=recorder)[0].calls == ["set_prompt push", "set_prompt place"]
    recorder, _, notices = pressed("n")
    assert recorder.calls == []
    assert notices == [Notice("the task has no list of prompts; p types one", "warning")]


def test_help_names_every_key() -> None:
    _, _, notices = pressed("h")
    assert [notice.text[0] for notice in notices] == list(KEYS)


def test_a_prompt_is_typed_and_set_and_its_letters_are_no_commands() -> None:
    recorder, console, _ = pressed("p", *"spill the fdq", "enter", "s")
    assert recorder.calls == ["set_prompt spill the fdq", "start"]
    assert console.line is None
    assert not console.finished


def test_a_prompt_can_be_edited_abandoned_or_left_empty() -> None:
    assert pressed("p", *"pick it", "escape")[0].calls == []
    assert pressed("p", "enter")[0].calls == []
    assert pressed("p", *"   ", "enter")[0].calls == []
    edited = pressed("p", "up", "home", *"now ", "end", *"!", "enter", recorder=FakeRecorder("pick it"))[0]
    assert edited.calls == ["set_prompt now pick it!"]


def test_quitting_while_an_episode_is_recorded_takes_a_second_thought() -> None:
    _, console, notices = pressed("s", "q")
    assert not console.finished
    assert "an episode is being recorded" in notices[-1].text
    assert pressed("s", "q", "q")[1].finished
    assert not pressed("s", "q", "h", "q")[1].finished
    assert pressed("s", "s", "q")[1].finished
    assert pressed("q")[1].finished


def test_a_silent_recorder_can_still_be_asked() -> None:
    recorder = FakeRecorder()
    recorder.silent = True
    recorder.reply = Reply(False, "the recorder does not answer")
    assert pressed("p", *"x", "enter", "s", "q", recorder=recorder)[1].finished
    assert recorder.calls == ["set_prompt x", "start"]


# -- the line ---------------------------------------------------------------------------------------------------------------


class ReferenceLine:
    """The same editor, in the most obvious way: the characters before and behind the cursor."""

    def __init__(self) -> None:
        self.before: list[str] = []
        self.behind: list[str] = []

    def press(self, key: str) -> None:
        if len(key) == 1:
            self.before.append(key)
        elif key == "backspace":
            self.before = self.before[:-1]
        elif key == "delete":
            self.behind = self.behind[1:]
        elif key == "left" and self.before:
            self.behind.insert(0, self.before.pop())
        elif key == "right" and self.behind:
            self.before.append(self.behind.pop(0))
        elif key in ("home", "ctrl-a"):
            self.before, self.behind = [], self.before + self.behind
        elif key in ("end", "ctrl-e"):
            self.before, self.behind = self.before + self.behind, []
        elif key == "ctrl-u":
            self.before = []
        elif key == "ctrl-k":
            self.behind = []


EDITING = ["backspace", "delete", "left", "right", "home", "end", "ctrl-a", "ctrl-e", "ctrl-u", "ctrl-k", "tab", "down"]


@given(st.lists(st.one_of(st.sampled_from("aü 漢"), st.sampled_from(EDITING)), max_size=40))
def test_the_line_is_what_a_plain_editor_makes_of_the_keys(keys: list[str]) -> None:
    line, reference = LineEditor(), ReferenceLine()
    for key in keys:
        line.press(key)
        reference.press(key)
        assert line.text == "".join(reference.before + reference.behind)
        assert line.cursor == len(reference.before)


@pytest.mark.parametrize(
    ("typed", "left"), [("pick the cube", "pick the "), ("pick the  ", "pick "), ("pick", ""), ("", "")]
)
def test_control_w_takes_a_word(typed: str, left: str) -> None:
    line = LineEditor()
    for key in (*typed, "ctrl-w"):
        line.press(key)
    assert (line.text, line.cursor) == (left, len(left))


# -- bytes to keys ----------------------------------------------------------------------------------------------------------

SENT = {
    "s": b"s", "ü": "ü".encode(), "漢": "漢".encode(), "enter": b"\r", "backspace": b"\x7f", "left": b"\x1b[D", "up": b"\x1bOA",
    "home": b"\x1b[1~", "end": b"\x1b[F", "delete": b"\x1b[3~", "ctrl-u": b"\x15", "tab": b"\t",
}  # fmt: skip


@given(st.lists(st.sampled_from(sorted(SENT)), max_size=20), st.data())
def test_keys_are_recognised_in_whatever_pieces_their_bytes_come(keys: list[str], data: st.DataObject) -> None:
    sent = b"".join(SENT[key] for key in keys)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    decoder, found = KeyDecoder(), []
    for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        found += decoder.feed(sent[start:stop])
    assert found + decoder.flush() == keys


def test_a_lone_escape_is_the_key_when_nothing_follows() -> None:
    decoder = KeyDecoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.flush() == ["escape"]
    assert decoder.flush() == []
    assert decoder.feed(b"\x1b") + decoder.feed(b"[A") == ["up"]
    assert decoder.feed(b"\x1bx") == ["escape", "x"]


@given(st.binary(max_size=30))
def test_no_bytes_make_the_decoder_fail_or_invent_control_characters(data: bytes) -> None:
    decoder = KeyDecoder()
    for key in decoder.feed(data) + decoder.flush():
        assert len(key) > 1 or key >= " "


@pytest.mark.parametrize("unknown", [b"\x1b[15~", b"\x1b[1;5C", b"\x1b[?2004h", b"\x00"])
def test_keys_without_a_name_are_no_keys(unknown: bytes) -> None:
    assert KeyDecoder().feed(unknown + b"s") == ["s"]


# -- problems ---------------------------------------------------------------------------------------------------------------


def stream(rate_hz: float = 30.0, age_s: float = 0.03, received: int = 9, expected_hz: float = 30.0) -> StreamStatus:
    return StreamStatus("wrist", "/wrist/image_raw", rate_hz, expected_hz, age_s, received)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (stream(), None),
        (stream(rate_hz=25.0), None),
        (stream(rate_hz=20.0), "slow: 30 Hz expected"),
        (stream(age_s=0.4), None),
        (stream(age_s=0.6), "silent for 0.6 s"),
        (stream(age_s=7.2, rate_hz=0.0), "silent for 7.2 s"),
        (stream(age_s=-0.2), None),
        (stream(age_s=-2.5), "stamped 2.5 s ahead of the clock"),
        (stream(received=0, age_s=float("nan"), rate_hz=0.0), "nothing received"),
        (stream(expected_hz=1.0, rate_hz=1.0, age_s=4.0), None),
        (stream(expected_hz=0.0, rate_hz=0.0, age_s=100.0), None),
    ],
)
def test_a_stream_that_does_not_come_as_declared_is_a_problem(found: StreamStatus, text: str | None) -> None:
    problems = problems_of(RecorderStatus(RecorderState.IDLE, streams=(found,)))
    assert (problems["wrist"].text if problems else None) == text


def test_the_recorder_itself_may_be_the_problem() -> None:
    assert problems_of(None)["recorder"].level == "error"
    assert problems_of(RecorderStatus(RecorderState.IDLE)) == {}
    failed = problems_of(RecorderStatus(RecorderState.FAILED, message="disk full"))
    assert failed == {"recorder": Notice("disk full", "error")}
    assert (
        problems_of(RecorderStatus(RecorderState.RECORDING, message="3 steps dropped"))["recorder"].level == "warning"
    )


def test_the_journal_tells_of_each_change_once() -> None:
    journal = Journal()
    idle = RecorderStatus(RecorderState.IDLE, streams=(stream(),))
    bad = dataclasses.replace(idle, streams=(stream(age_s=2.0),))
    worse = dataclasses.replace(idle, streams=(stream(age_s=9.0),))
    slow = dataclasses.replace(idle, streams=(stream(rate_hz=15.0),))
    told = [
        [notice.text for notice in journal.changes(status)]
        for status in (idle, idle, bad, worse, worse, slow, idle, None)
    ]
    expected = [
        ["recorder: idle"],
        [],
        ["wrist: silent for 2.0 s"],
        [],
        [],
        ["wrist: slow: 30 Hz expected"],
        ["wrist: well again"],
        ["recorder: no recorder answers"],
    ]
    assert told == expected
