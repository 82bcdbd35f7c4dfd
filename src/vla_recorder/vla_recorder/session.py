"""What a recorder does, without ROS: one episode after the other, from steps to files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from vla_core.episodes import EpisodeMetadata
from vla_core.errors import EpisodeError, VlaError, choice
from vla_core.observation import Step
from vla_recorder.beside import BesideTheSteps
from vla_recorder.disk import DiskBudget, DiskState, unwatched
from vla_recorder.files import EpisodeFiles, FinishedEpisode, FolderFound, MakeWriter, background_writer
from vla_recorder.history import History
from vla_recorder.prompts import PromptList
from vla_recorder.readiness import NoStreams, Streams, unready
from vla_recorder.recording import QueuedEpisodeWriter, Recording
from vla_recorder.settings import RecorderSettings
from vla_recorder.status import DISCARDED, FAILURE, SUCCESS, RecorderState, RecorderStatus
from vla_recorder.work import DiskWork


class RecorderRefused(VlaError):
    """What was asked for does not fit the state of the recorder."""


class RecorderSession:
    """Records one episode after the other into a folder.

    IDLE --start--> RECORDING --stop--> FINISHING --> IDLE. An episode that cannot be written leads to FAILED, from where the
    next start leads out. Steps are recorded while RECORDING and ignored else. Not for several threads at once. What keeps the
    disk busy is done in a thread: calls that begin such work return its future, whose effect is seen from the next call on.

    Attributes:
        beside: takes what is recorded beside the steps.
    """

    def __init__(
        self,
        folder: Path,
        known: EpisodeMetadata,
        make_writer: MakeWriter = background_writer,
        streams: Streams | None = None,
        disk: Callable[[], DiskState] = unwatched,
        settings: RecorderSettings | None = None,
        prompts: PromptList | None = None,
    ) -> None:
        """Makes an idle session.

        Args:
            folder: where the episodes go.
            known: the embodiment, the robot, and what else is the same for all episodes; its prompt is the first one's.
            make_writer: begins an episode in a folder.
            streams: tells how the streams arrive.
            disk: tells how much is free. Returns at once.
            settings: what recording may take of the disk.
            prompts: what is to be recorded. Without a prompt in ``known`` the first of them that is wanted comes first.
        """
        self.beside = BesideTheSteps(known.embodiment)
        self._streams = streams or NoStreams()
        self._disk = disk
        self._budget = DiskBudget(settings or RecorderSettings(), known.embodiment)
        self._files = EpisodeFiles(folder, make_writer, known.embodiment, counts=prompts is not None)
        self._history = History(prompts)
        self._known = dataclasses.replace(known, prompt=self._history.prompt_after(known.prompt))
        self._work = DiskWork()
        self._state, self._message = RecorderState.IDLE, ""
        self._episode: Recording | None = None

    def look_through(self) -> Future[FolderFound]:
        """Recovers what earlier recordings left in the folder, and counts. Until that is done no episode can be started."""
        self._require_idle("look through the folder")
        return self._look_through(self._fail)

    def set_prompt(self, prompt: str) -> None:
        """Sets the language instruction: of the steps from now on while an episode is recorded, else of the next episode.

        A change during an episode ends with it: the next one begins with the instruction that was set before.

        Raises:
            RecorderRefused: nothing, for a running episode.
        """
        self._work.collect()
        prompt = prompt.strip()
        episode = self._running
        if episode is None:
            self._known = dataclasses.replace(self._known, prompt=prompt)
        elif prompt:
            episode.prompt = prompt
        else:
            raise RecorderRefused("prompt: expected an instruction for the running episode, found nothing")

    def start(self, prompt: str = "", seed: int | None = None, policy_id: str = "", redo: bool = False) -> Future[Path]:
        """Begins an episode.

        Args:
            prompt: language instruction; empty: the one set before.
            seed: what the task's start was drawn with.
            policy_id: the policy that drives; empty: the one known from the beginning, or whose chunks are executed now, if any.
            redo: in place of the running episode, which is discarded; else of the last finished one, whose file is replaced
                when this one is finished.

        Returns:
            The file that the episode will be, once it is begun; or the EpisodeError that says why it could not be.

        Raises:
            RecorderRefused: an episode is recorded or finished, there is none to record again, a stream is missing or stale, or
                an episode of usual length does not fit on the disk.
        """
        running = self._running if redo else None
        if running is None:
            self._require_idle("start")
        replaces, before = self._again(running) if redo else (None, "")
        self._require_ready()
        known = self._known = dataclasses.replace(self._known, prompt=prompt.strip() or self._known.prompt)
        metadata = dataclasses.replace(
            known,
            prompt=prompt.strip() or before or known.prompt,
            seed=seed,
            policy_id=policy_id or known.policy_id or self.beside.commanding.policy_id,
        )
        self._set_idle("")
        writers: list[QueuedEpisodeWriter] = []

        def begin() -> Path:
            writers.append(self._files.begin(metadata, running.writer if running else None))
            return replaces or writers[0].path

        def record(path: Path) -> None:
            self._streams.begin_episode()
            arrived = self._streams.status()
            self._episode = Recording(writers[0], path, known.embodiment, arrived, metadata.prompt, replaces)
            self._state = RecorderState.RECORDING
            self.beside.begin(self._episode)

        return self._work.begin("an episode is still being begun", begin, record, self._fail)

    def step(self, step: Step) -> None:
        """Records a step, if an episode is being recorded. A step that lacks a stream is dropped and counted."""
        self._work.collect()
        episode = self._running
        if episode is None:
            return
        try:
            episode.append(step, self.beside.policy_drives(step.stamp_ns))
        except VlaError as error:
            self._lose(str(error))
            return
        self.beside.flush()
        full = self._budget.exhausted(self._disk())
        if full and episode.appended:
            self._finish(episode, FAILURE, f"{episode.path.name} was stopped: {full}")

    def mark(self, outcome: str) -> None:
        """The running episode is to get this outcome: ``success`` or ``failure``."""
        self._recording(f"mark a {outcome}").outcome = outcome

    def stop(self, outcome: str = "") -> Future[FinishedEpisode]:
        """Ends the running episode.

        Args:
            outcome: ``success``, ``failure`` or ``discarded``; empty: ``success``, or what was marked.

        Returns:
            How the episode ended, once its file is complete; or the EpisodeError that says why it is not.

        Raises:
            RecorderRefused: no episode is being recorded, or the outcome is none of the three.
        """
        episode = self._recording("discard" if outcome == DISCARDED else "stop")
        expected = (SUCCESS, FAILURE, DISCARDED)
        if outcome not in (*expected, ""):
            raise RecorderRefused(f"outcome: expected {choice(expected)}, found '{outcome}'")
        if outcome == DISCARDED:
            return self._discard(episode)
        if not episode.appended:
            reason = episode.remark() or "no step came from the streams"
            return self._discard(episode, f"{episode.path.name} has no steps ({reason}); it was discarded")
        return self._finish(episode, outcome or episode.outcome)

    def status(self) -> RecorderStatus:
        """The state now."""
        self._work.collect()
        episode, last, disk = self._episode, self._history.last, self._disk()
        path = episode.path if episode else last.path if last else None
        return RecorderStatus(
            state=self._state,
            message=self._remarks(disk),
            episode_path=str(path or ""),
            prompt=episode.prompt if episode else self._known.prompt,
            outcome=episode.outcome if episode and self._running else "",
            episodes=self._history.episodes,
            failures=self._history.failures,
            last_good=last.good if last else True,
            verdict="\n".join(last.verdict) if last else "",
            prompts=self._history.prompts,
            steps=episode.steps if episode else 0,
            duration_s=episode.duration_s if episode else 0.0,
            dropped_steps=episode.dropped_steps if episode else 0,
            queue_steps=episode.writer.queued_steps if episode else 0,
            disk_free_bytes=disk.free_bytes or 0,
            disk_free_s=self._budget.free_s(disk),
            streams=self._streams.status(),
        )

    def close(self) -> None:
        """Ends the session when its file is complete. An episode that nobody stopped is kept, as a failure."""
        self._work.wait()
        if self._running is not None:
            self.stop(FAILURE if self._running.appended else DISCARDED)
        self._work.close()

    @property
    def _running(self) -> Recording | None:
        return self._episode if self._state == RecorderState.RECORDING else None

    def _recording(self, doing: str) -> Recording:
        self._work.collect()
        if self._running is None:
            raise RecorderRefused(f"cannot {doing}: no episode is being recorded")
        return self._running

    def _require_idle(self, doing: str) -> None:
        self._work.collect()
        if busy := f"{self._running.path.name} is still being recorded" if self._running else self._work.doing:
            raise RecorderRefused(f"cannot {doing}: {busy}")

    def _require_ready(self) -> None:
        if problems := unready(self._streams, self._budget.refusal(self._disk())):
            raise RecorderRefused("not started: " + "; ".join(problems))

    def _again(self, running: Recording | None) -> tuple[Path | None, str]:
        """What a redo replaces, and the prompt with which that began."""
        if running is not None:
            return running.replaces, running.first_prompt
        last = self._history.last
        if last is None:
            raise RecorderRefused("cannot record again: no episode has been finished since the recorder began")
        return last.path, last.prompt

    def _finish(self, episode: Recording, outcome: str, because: str = "") -> Future[FinishedEpisode]:
        def finished(ended: FinishedEpisode) -> None:
            self._history.note(ended)
            self._budget.note(ended.size_bytes, ended.duration_s)
            self._next_prompt()
            self._set_idle(because)

        self.beside.end()
        self._state = RecorderState.FINISHING
        summary = episode.summary(self._streams.status())
        finishing = f"{episode.path.name} is still being finished"
        return self._work.begin(finishing, lambda: self._files.finish(episode, outcome, summary), finished, self._lose)

    def _discard(self, episode: Recording, because: str = "") -> Future[FinishedEpisode]:
        """Forgets an episode. No file stays. ``because``: what was wrong with it, if it was not the operator's wish."""

        def discard() -> FinishedEpisode:
            episode.writer.discard()
            if because:
                raise EpisodeError(because)
            return FinishedEpisode(None, DISCARDED, 0)

        self.beside.end()
        self._state = RecorderState.FINISHING
        discarding = f"{episode.path.name} is still being discarded"
        return self._work.begin(discarding, discard, lambda _: self._set_idle(""), self._fail)

    def _look_through(self, failed: Callable[[str], None]) -> Future[FolderFound]:
        def found(folder: FolderFound) -> None:
            self._history.count(folder.recorded)
            self._next_prompt()
            self._message = "; ".join(filter(None, [self._message, *folder.recovered]))

        return self._work.begin("the folder is still being looked through", self._files.look_through, found, failed)

    def _lose(self, message: str) -> None:
        """An episode cannot go on: what is on the disk of it is recovered at once, as far as that can be."""
        self._fail(message)
        self._look_through(lambda reason: self._fail(f"{message}; {reason}"))

    def _remarks(self, disk: DiskState) -> str:
        """What the operator should know, most urgent first."""
        busy = self._work.doing if self._episode is None else ""
        episode = self._episode.remark() if self._episode else ""
        bad = "; ".join(self._streams.problems.values())
        return "; ".join(filter(None, [self._message, busy, episode, self.beside.remark(), disk.error, bad]))

    def _next_prompt(self) -> None:
        self._known = dataclasses.replace(self._known, prompt=self._history.prompt_after(self._known.prompt))

    def _set_idle(self, message: str) -> None:
        self._episode, self._state, self._message = None, RecorderState.IDLE, message

    def _fail(self, message: str) -> None:
        self.beside.end()
        self._episode, self._state, self._message = None, RecorderState.FAILED, message
