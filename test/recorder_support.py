"""A recorder's session with made-up steps, streams and disks."""

from __future__ import annotations

import functools
import threading
import time
from pathlib import Path
from typing import Any

from vla_core.alignment import StreamStatus
from vla_core.embodiment import load_embodiment
from vla_core.episodes import Beside, EpisodeMetadata, Hdf5EpisodeWriter, RecordingSummary
from vla_core.episodes.synthetic import synthetic_step
from vla_core.errors import EpisodeError
from vla_core.observation import Step
from vla_recorder.files import background_writer
from vla_recorder.session import RecorderSession
from vla_recorder.status import RecorderState, RecorderStatus

FR3_SIM = load_embodiment(Path(__file__).parents[1] / "config" / "embodiments" / "fr3_sim.yaml")
KNOWN = EpisodeMetadata("pick up the cube", "sim", FR3_SIM, task="pick_place", policy_id="act")

# these tests make steps faster than a disk writes
patient_writer = functools.partial(background_writer, when_full="wait")


class FakeStreams:
    """How the streams arrive, as a test says (port :class:`vla_recorder.readiness.Streams`)."""

    def __init__(self, *streams: StreamStatus) -> None:
        self.streams = streams
        self.problems: dict[str, str] = {}
        self.episodes = 0

    def status(self) -> tuple[StreamStatus, ...]:
        return self.streams

    def begin_episode(self) -> None:
        self.episodes += 1


class GatedWriter:
    """A writer whose end waits for ``gate``, and whose calls raise ``error`` if there is one."""

    dropped_steps = 0
    queued_steps = 2

    def __init__(self, path: Path) -> None:
        self.path = path
        self.gate = threading.Event()
        self.error: EpisodeError | None = None
        self.steps: list[Step] = []
        self.prompts: list[str] = []
        self.records: list[Beside] = []
        self.discarded = False

    def append(self, step: Step, prompt: str = "") -> None:
        self._raise()
        self.steps.append(step)
        self.prompts.append(prompt)

    def beside(self, record: Beside) -> None:
        self._raise()
        self.records.append(record)

    def flush(self) -> None:
        self._raise()

    def finish(self, outcome: str, summary: RecordingSummary | None = None) -> Path:
        self.gate.wait(10)
        self._raise()
        self.path.touch()
        return self.path

    def discard(self) -> None:
        self._raise()
        self.discarded = True

    def _raise(self) -> None:
        if self.error:
            raise self.error


def begin(session: RecorderSession, **arguments: Any) -> Path:
    """Starts an episode and waits until it is begun."""
    path = session.start(**arguments).result()
    assert session.status().state == RecorderState.RECORDING
    return path


def settled(session: RecorderSession) -> RecorderStatus:
    """The status when nothing is done with the disk any more."""
    deadline = time.monotonic() + 20.0
    while "still being" in (status := session.status()).message or status.state == RecorderState.FINISHING:
        assert time.monotonic() < deadline, status.message
        time.sleep(0.005)
    return status


def feed(session: RecorderSession, count: int, first: int = 0) -> None:
    for index in range(first, first + count):
        session.step(synthetic_step(FR3_SIM, index))


def without(step: Step, *names: str) -> Step:
    return Step(step.stamp_ns, {name: sample for name, sample in step.samples.items() if name not in names})


def leave_partial(path: Path, metadata: EpisodeMetadata, steps: int) -> None:
    """Puts there what a recorder leaves that was killed while it recorded the episode ``path``."""
    writer = Hdf5EpisodeWriter(path.parent / "killed", metadata)
    for index in range(steps):
        writer.append(synthetic_step(metadata.embodiment, index))
    writer.flush()
    left = writer.partial_path.read_bytes()
    writer.discard()
    writer.path.parent.rmdir()
    path.with_name(path.name + ".partial").write_bytes(left)
