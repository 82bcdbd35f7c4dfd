"""What a recorder does, without ROS: one episode after the other, from steps to files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vla_core.alignment import StreamStatus
from vla_core.episodes import BackgroundEpisodeWriter, EpisodeMetadata, Hdf5EpisodeWriter, RecordingSummary
from vla_core.errors import EpisodeError, VlaError, choice
from vla_core.observation import Step
from vla_recorder.recording import QueuedEpisodeWriter, Recording
from vla_recorder.status import RecorderState, RecorderStatus

SUCCESS, FAILURE, DISCARDED = "success", "failure", "discarded"


class RecorderRefused(VlaError):
    """What was asked for does not fit the state of the recorder."""


@dataclass(frozen=True)
class FinishedEpisode:
    """How an episode ended.

    Attributes:
        path: the file; None if the episode was discarded.
        outcome: ``success``, ``failure`` or ``discarded``.
        steps: rows in the file, end steps included.
    """

    path: Path | None
    outcome: str
    steps: int


def background_writer(
    folder: Path, metadata: EpisodeMetadata, when_full: Literal["drop", "wait"] = "drop"
) -> BackgroundEpisodeWriter:
    """Writes to HDF5 in a thread. ``when_full``: what happens to a step when the disk is too slow."""
    return BackgroundEpisodeWriter(Hdf5EpisodeWriter(folder, metadata), when_full=when_full)


class RecorderSession:
    """Records one episode after the other into a folder.

    IDLE --start--> RECORDING --stop--> FINISHING --> IDLE. An episode that cannot be written leads to FAILED, from where the
    next start leads out. Steps are recorded while RECORDING and ignored else. Not for several threads at once; only the end of
    an episode, which may take the disk seconds, runs in a thread of its own.
    """

    def __init__(
        self,
        folder: Path,
        known: EpisodeMetadata,
        make_writer: Callable[[Path, EpisodeMetadata], QueuedEpisodeWriter] = background_writer,
        streams: Callable[[], tuple[StreamStatus, ...]] = tuple,
    ) -> None:
        """Makes an idle session.

        Args:
            folder: where the episodes go.
            known: the embodiment, the robot, and what else is the same for all episodes; its prompt is the first one's.
            make_writer: begins an episode in a folder.
            streams: tells how the streams arrive.
        """
        self._folder = folder
        self._known = known
        self._driver = known.policy_id
        self._make_writer = make_writer
        self._streams = streams
        self._state = RecorderState.IDLE
        self._message = ""
        self._path: Path | None = None
        self._episodes = 0
        self._episode: Recording | None = None
        self._finishing: Future[FinishedEpisode] | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="finish-episode")

    def set_prompt(self, prompt: str) -> None:
        """Sets the language instruction of the next episode. Refused while one is recorded: its prompt is in its file."""
        self._collect()
        if self._state == RecorderState.RECORDING:
            raise RecorderRefused(
                "the prompt of an episode cannot change while it is recorded; stop or discard it first"
            )
        self._known = dataclasses.replace(self._known, prompt=prompt.strip())

    def start(self, prompt: str = "", seed: int | None = None, policy_id: str = "") -> Path:
        """Begins an episode.

        Args:
            prompt: language instruction; empty: the one set before.
            seed: what the task's start was drawn with.
            policy_id: the policy that drives, for a rollout; empty: the one known from the beginning, if any.

        Returns:
            The file that the episode will be.

        Raises:
            RecorderRefused: an episode is being recorded or finished.
            EpisodeError: the file cannot be made.
        """
        self._collect()
        if self._state in (RecorderState.RECORDING, RecorderState.FINISHING):
            doing = "recorded" if self._state == RecorderState.RECORDING else "finished"
            raise RecorderRefused(f"cannot start: {self._name()} is still being {doing}")
        prompt = prompt.strip() or self._known.prompt
        self._known = dataclasses.replace(self._known, prompt=prompt, seed=seed, policy_id=policy_id or self._driver)
        try:
            writer = self._make_writer(self._folder, self._known)
        except EpisodeError as error:
            self._fail(str(error))
            raise
        embodiment = self._known.embodiment
        before = {stream.name: stream for stream in self._streams()}
        self._episode = Recording(writer, (*embodiment.cameras, *embodiment.streams), before)
        self._path = writer.path
        self._state, self._message = RecorderState.RECORDING, ""
        return writer.path

    def step(self, step: Step) -> None:
        """Records a step, if an episode is being recorded. A step that lacks a stream is dropped and counted."""
        episode = self._episode
        if episode is None or self._state != RecorderState.RECORDING:
            return
        try:
            episode.append(step)
        except EpisodeError as error:
            self._fail(str(error))

    def mark_failure(self) -> None:
        """The running episode is to get the outcome ``failure``."""
        self._recording("mark a failure").outcome = FAILURE

    def stop(self, outcome: str = "") -> Future[FinishedEpisode]:
        """Ends the running episode.

        Args:
            outcome: ``success``, ``failure`` or ``discarded``; empty: ``success``, or ``failure`` if it was marked.

        Returns:
            How the episode ended, once its file is complete; or the EpisodeError that says why it could not be completed.

        Raises:
            RecorderRefused: no episode is being recorded, or the outcome is none of the three.
            EpisodeError: the episode has no steps; it is discarded.
        """
        episode = self._recording("stop")
        expected = (SUCCESS, FAILURE, DISCARDED)
        if outcome not in (*expected, ""):
            raise RecorderRefused(f"outcome: expected {choice(expected)}, found '{outcome}'")
        if outcome == DISCARDED:
            self.discard()
            ended: Future[FinishedEpisode] = Future()
            ended.set_result(FinishedEpisode(None, DISCARDED, 0))
            return ended
        if episode.appended == 0:
            self._refuse_empty(episode)
        self._state = RecorderState.FINISHING
        self._finishing = self._executor.submit(
            self._finish, episode, outcome or episode.outcome, episode.summary(self._streams())
        )
        return self._finishing

    def discard(self) -> None:
        """Forgets the running episode. No file stays."""
        episode = self._recording("discard")
        try:
            episode.writer.discard()
        except EpisodeError as error:
            self._fail(str(error))
            raise
        self._episode, self._path = None, None
        self._state, self._message = RecorderState.IDLE, ""

    def status(self) -> RecorderStatus:
        """The state now."""
        self._collect()
        episode = self._episode
        return RecorderStatus(
            state=self._state,
            message=self._message or (episode.remark() if episode else ""),
            episode_path=str(self._path or ""),
            prompt=self._known.prompt,
            outcome=episode.outcome if episode and self._state == RecorderState.RECORDING else "",
            episodes=self._episodes,
            steps=episode.steps if episode else 0,
            duration_s=episode.duration_s if episode else 0.0,
            dropped_steps=episode.dropped_steps if episode else 0,
            queue_steps=episode.writer.queued_steps if episode else 0,
            streams=self._streams(),
        )

    def close(self) -> None:
        """Ends the session when its file is complete. An episode that nobody stopped is kept, as a failure."""
        self._collect()
        if self._episode is not None and self._state == RecorderState.RECORDING:
            if self._episode.appended:
                self.stop(FAILURE)
            else:
                self.discard()
        self._executor.shutdown(wait=True)
        self._collect()

    def _recording(self, doing: str) -> Recording:
        self._collect()
        if self._episode is None or self._state != RecorderState.RECORDING:
            raise RecorderRefused(f"cannot {doing}: no episode is being recorded")
        return self._episode

    def _refuse_empty(self, episode: Recording) -> None:
        name, remark = self._name(), episode.remark() or "no step came from the streams"
        self.discard()
        self._fail(f"{name} has no steps ({remark}); it was discarded")
        raise EpisodeError(self._message)

    def _finish(self, episode: Recording, outcome: str, summary: RecordingSummary) -> FinishedEpisode:
        path = episode.writer.finish(outcome, summary)
        return FinishedEpisode(path, outcome, episode.steps + self._known.embodiment.steps.end_steps)

    def _collect(self) -> None:
        """Takes note of an episode that was finished meanwhile."""
        if self._finishing is None or not self._finishing.done():
            return
        finishing, self._finishing = self._finishing, None
        error = finishing.exception()
        if error is not None:
            self._fail(str(error))
            return
        self._episode = None
        self._episodes += 1
        self._state, self._message = RecorderState.IDLE, ""

    def _fail(self, message: str) -> None:
        self._episode = None
        self._state, self._message = RecorderState.FAILED, message

    def _name(self) -> str:
        return self._path.name if self._path else "the episode"
