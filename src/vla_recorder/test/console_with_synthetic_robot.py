"""The operator's console on a recorder of this process that gets synthetic steps. Run by test_terminal.py, and by hand.

python console_with_synthetic_robot.py FOLDER [--broken | --blind | --failing] [--prompts LIST]
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from vla_core.alignment import StreamStatus
from vla_core.embodiment import load_embodiment
from vla_core.episodes import EpisodeMetadata
from vla_core.episodes.synthetic import START_NS, synthetic_step
from vla_recorder.operations import LocalRecorder
from vla_recorder.prompts import load_prompts
from vla_recorder.session import RecorderSession
from vla_recorder.status import RecorderStatus
from vla_recorder.terminal import run_console

EMBODIMENT = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3_sim.yaml")


class SyntheticRobot(threading.Thread):
    """Steps at the embodiment's rate; ``broken``: the wrist camera is slow; ``blind``: the gripper never speaks."""

    def __init__(self, broken: bool, blind: bool) -> None:
        super().__init__(daemon=True)
        self.broken, self.blind = broken, blind
        self.index = 0
        self.moving = threading.Event()
        self.recorder: LocalRecorder | None = None
        self.problems: dict[str, str] = {}

    def status(self) -> tuple[StreamStatus, ...]:
        return tuple(self._status(name, stream.topic, stream.rate_hz) for name, stream in EMBODIMENT.sources.items())

    def begin_episode(self) -> None:
        return

    def run(self) -> None:
        begin = time.monotonic()
        while self.recorder is not None:
            self.recorder.step(synthetic_step(EMBODIMENT, self.index))
            self.index += 1
            self.moving.set()
            time.sleep(max(0.0, begin + self.index / EMBODIMENT.steps.rate_hz - time.monotonic()))

    def _status(self, name: str, topic: str, rate_hz: float) -> StreamStatus:
        if self.blind and name == "gripper_command":
            return StreamStatus(name, topic, 0.0, rate_hz, float("nan"), 0)
        rate_now_hz = rate_hz * (0.5 if self.broken and name == "wrist" else 1.0)
        seconds = self.index / EMBODIMENT.steps.rate_hz
        received = 1 + round(rate_now_hz * seconds)
        return StreamStatus(
            name, topic, rate_now_hz, rate_hz, 1 / rate_hz, received, newest_stamp_ns=START_NS + round(seconds * 1e9)
        )


class FailingRecorder(LocalRecorder):
    """A recorder with a defect: its status cannot be had."""

    def status(self) -> RecorderStatus:
        raise RuntimeError("the status cannot be had")


def main(folder: str, *options: str) -> None:
    robot = SyntheticRobot("--broken" in options, "--blind" in options)
    known = EpisodeMetadata("", "mock", EMBODIMENT)
    prompts = load_prompts(options[options.index("--prompts") + 1]) if "--prompts" in options else None
    session = RecorderSession(Path(folder), known, streams=robot, prompts=prompts)
    session.look_through().result()
    robot.recorder = (FailingRecorder if "--failing" in options else LocalRecorder)(session)
    robot.start()
    robot.moving.wait()
    try:
        run_console(robot.recorder)
    finally:
        robot.recorder = None
        robot.join()
        session.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
