"""rosbag2 bags as episodes: the bag's messages go through the recorder's own alignment, tick by tick, as they came."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla_core import __version__
from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeMetadata, EpisodeReader
from vla_core.errors import ChunkError, choice
from vla_core.observation import Step
from vla_recorder.bags import BagReader
from vla_recorder.bags.prompts import Prompts, prompts_in
from vla_recorder.bags.recorded import Cut, recorded_episodes
from vla_recorder.bags.streams import BagStreams, without_stamps
from vla_recorder.beside import BesideTheSteps, Commanding
from vla_recorder.files import background_writer
from vla_recorder.formats.conversion import FormatError, Progress, Report, Silent
from vla_recorder.recording import Recording
from vla_ros.codecs.chunks import chunk_from

_NS = 1_000_000_000
_TICK_NS = 10_000_000  # recorder_node's
_LONGEST_WAIT_NS = 5_000_000_000  # of any stream: where nothing came for longer, no tick has anything left to decide
_CHUNK, _COMMAND = "vla_msgs/msg/ActionChunk", "vla_msgs/msg/CommandStatus"


@dataclass(frozen=True)
class BagImport:
    """What is said about a bag that it does not say itself.

    Attributes:
        embodiment: of the robot; its topics are looked for in the bag.
        prompt: language instruction of the first step; later ones come from ``prompt_topic``.
        prompt_topic: a std_msgs/String with the instruction; default: the first of the usual names that is in the bag.
        robot: what moved: ``real``, ``sim`` or ``mock``.
        task: identifier of the task.
        outcome: ``success`` or ``failure``.
        seed: what the task's start was drawn with.
        policy_id: the policy of a rollout; default: the one that drives when the episode begins.
        known_prompts: instructions, and stamps of the first steps that they hold for [ns]; those in the bag count without.
        cut: which steps; default: the episodes that a recorder_node said it recorded meanwhile, else all that can be aligned.
        by_arrival: streams whose header stamps are no good: they are aligned by the times at which they were received.
    """

    embodiment: Embodiment
    prompt: str = ""
    prompt_topic: str = ""
    robot: str = "real"
    task: str = ""
    outcome: str = "success"
    seed: int | None = None
    policy_id: str = ""
    known_prompts: Sequence[tuple[int, str]] = ()
    cut: Cut | None = None
    by_arrival: Sequence[str] = ()


def beside_episode(path: Path) -> BagImport:
    """The import of a bag that was recorded beside an episode: with its embodiment and words, from its first step to its last.

    Raises:
        EpisodeError: the episode cannot be read.
    """
    with EpisodeReader(path) as episode:
        known, stamps = episode.info.metadata, episode.stamps_ns[episode.markers == 0].tolist()
        prompts = episode.prompts[: len(stamps)]
        changes = [0, *(index for index in range(1, len(prompts)) if prompts[index] != prompts[index - 1])]
        return BagImport(
            embodiment=known.embodiment,
            prompt=known.prompt,
            robot=known.robot,
            task=known.task,
            outcome=episode.info.outcome,
            seed=known.seed,
            policy_id=known.policy_id,
            known_prompts=[(stamps[index], prompts[index]) for index in changes],
            cut=Cut(first_ns=stamps[0], last_ns=stamps[-1]),
        )


def import_bag(path: Path, target: Path, wanted: BagImport, progress: Progress | None = None) -> Report:
    """Writes a bag as one or several episodes: the rows that recorder_node makes of the same messages.

    Args:
        path: of the bag: MCAP or sqlite3, split or not, compressed or not.
        target: folder for the episodes.
        wanted: what the bag does not say.
        progress: is told how far it is.

    Raises:
        BagError: the bag is broken, or lacks a topic of the embodiment.
        FormatError: no step can be made of it; says what was wrong with which stream.
        EpisodeError: an episode cannot be written.
    """
    progress = progress or Silent()
    with BagReader(path) as bag:
        wanted = dataclasses.replace(wanted, embodiment=_by_arrival(wanted.embodiment, wanted.by_arrival))
        unstamped = without_stamps(bag, wanted.embodiment)
        wanted = dataclasses.replace(wanted, embodiment=_by_arrival(wanted.embodiment, unstamped))
        cuts = [wanted.cut] if wanted.cut else recorded_episodes(bag) or [Cut()]
        beside = BesideTheSteps(wanted.embodiment)
        streams = BagStreams(bag, wanted.embodiment, beside.sample)
        handlers = _handlers(bag, streams, beside)
        known = wanted.known_prompts
        prompts = Prompts(known) if known else prompts_in(bag, wanted.prompt, wanted.prompt_topic)
        recorder = _Recorder(path, target, wanted, streams, beside, prompts)
        for name in unstamped:
            recorder.report.note(f"'{name}' has no header stamps in the bag; its times are those of its reception")
        progress.begin(path.name, sum(bag.topics[topic].count for topic in handlers))
        try:
            recorder.record(_steps(bag, streams, handlers, progress), cuts)
        except BaseException:
            recorder.discard()
            raise
    return recorder.report


class _Recorder:
    """Makes episodes of the steps of a bag."""

    def __init__(
        self, path: Path, target: Path, wanted: BagImport, streams: BagStreams, beside: BesideTheSteps, prompts: Prompts
    ) -> None:
        self.report = Report()
        self._path = path
        self._target = target
        self._wanted = wanted
        self._streams = streams
        self._beside = beside
        self._prompts = prompts
        self._episode: Recording | None = None
        self._lacking: dict[str, int] = {}

    def record(self, steps: Iterator[tuple[Step, int]], cuts: Sequence[Cut]) -> None:
        """Makes an episode of each cut that has steps. Raises FormatError if none has."""
        left = list(cuts)
        now_ns = 0
        for step, now_ns in steps:
            while left and left[0].is_before(step.stamp_ns, now_ns):
                self._end(left.pop(0), now_ns)
            if not left:
                break
            if left[0].holds(step.stamp_ns, now_ns):
                self._step(step, now_ns, left[0])
        if left:
            self._end(left[0], now_ns)
        if not self.report.written:
            raise FormatError(self._why_empty())
        for name, count in self._streams.refused.items():
            self.report.note(f"{count} messages of '{name}' not used; the last: {self._streams.problems[name]}")

    def discard(self) -> None:
        """Forgets the episode that is being written."""
        if self._episode is not None:
            self._episode.writer.discard()

    def _step(self, step: Step, now_ns: int, cut: Cut) -> None:
        if self._episode is None:
            self._episode = self._begin(step, now_ns, cut)
            self._beside.begin(self._episode)
        self._episode.prompt = self._prompt(step, now_ns, cut)
        self._episode.append(step, self._beside.policy_drives(step.stamp_ns))
        self._beside.flush()

    def _begin(self, step: Step, now_ns: int, cut: Cut) -> Recording:
        wanted, prompt = self._wanted, self._prompt(step, now_ns, cut)
        policy_id = wanted.policy_id or self._beside.commanding.policy_id
        metadata = EpisodeMetadata(prompt, wanted.robot, wanted.embodiment, wanted.task, wanted.seed, policy_id)
        recorder = f"vla_recorder {__version__}, from {self._path.name}"
        writer = background_writer(self._target, metadata, "wait", recorder=recorder)
        before = self._streams.status(now_ns) if cut != Cut() else ()
        self._streams.begin_episode()
        return Recording(writer=writer, path=writer.path, embodiment=wanted.embodiment, before=before, prompt=prompt)

    def _prompt(self, step: Step, now_ns: int, cut: Cut) -> str:
        """A step's instruction: what recorder_node said at that time, else what is known of the time of the step."""
        return Prompts(cut.prompts).at(now_ns) or self._prompts.at(step.stamp_ns)

    def _end(self, cut: Cut, now_ns: int) -> None:
        episode = self._episode
        if episode is None:
            return
        self._lacking = {**self._lacking, **episode.lacking}
        self._beside.end()
        if episode.appended:
            summary = episode.summary(self._streams.status(now_ns))
            self.report.written.append(episode.writer.finish(cut.outcome or self._wanted.outcome, summary))
            self.report.episodes += 1
            self.report.steps += episode.steps
            for line in episode.verdict(summary):
                self.report.note(line if len(self.report.written) == 1 else f"{episode.path.name}: {line}")
        else:
            episode.writer.discard()
        self._episode = None

    def _why_empty(self) -> str:
        reasons = list(self._streams.problems.values())
        if self._lacking:
            counts = ", ".join(f"'{name}' in {count}" for name, count in self._lacking.items())
            reasons.append(f"streams that were missing or out of their tolerance: {counts} steps")
        return f"{self._path}: expected steps, found none: {'; '.join(reasons) or 'no step was due'}"


def _steps(
    bag: BagReader, streams: BagStreams, handlers: Mapping[str, Callable[[Any], None]], progress: Progress
) -> Iterator[tuple[Step, int]]:
    """The steps of a bag, each with the tick at which recorder_node would have had it [ns]."""
    due_ns: int | None = None
    last_ns = 0
    for message in bag.serialized(handlers):
        if due_ns is None:
            due_ns = -(-message.receive_ns // _TICK_NS) * _TICK_NS
        if message.receive_ns - due_ns > 2 * _LONGEST_WAIT_NS:
            yield from ((step, due_ns) for step in streams.pop(due_ns + _LONGEST_WAIT_NS))
            due_ns = message.receive_ns // _TICK_NS * _TICK_NS
        while due_ns < message.receive_ns:  # what was received until a tick is delivered before it
            for step in streams.pop(due_ns):
                yield step, due_ns
            due_ns += _TICK_NS
        handlers[message.topic](message)
        last_ns = message.receive_ns
        progress.advance()
    for step in (*streams.pop(last_ns), *streams.flush()):
        yield step, last_ns


def _handlers(bag: BagReader, streams: BagStreams, beside: BesideTheSteps) -> dict[str, Callable[[Any], None]]:
    """Topic to what is done with its messages."""

    def on_chunk(message: Any) -> None:
        with suppress(ChunkError):  # as recorder_node, which says so and goes on
            beside.chunk(chunk_from(bag.deserialized(message)), message.receive_ns)

    def on_command_status(message: Any) -> None:
        status = bag.deserialized(message)
        executes = status.state in (status.ARMED, status.RUNNING)
        policy_id = status.active_policy if executes else ""
        stamp_ns = status.header.stamp.sec * _NS + status.header.stamp.nanosec
        beside.commanding = Commanding(executes, status.strategy, policy_id, stamp_ns)

    handlers: dict[str, Callable[[Any], None]] = {}
    for topic in bag.topics.values():
        if topic.type == _CHUNK:
            handlers[topic.name] = on_chunk
        elif topic.type == _COMMAND:
            handlers[topic.name] = on_command_status
    return handlers | dict.fromkeys(streams.topics, streams.take)


def _by_arrival(embodiment: Embodiment, names: Sequence[str]) -> Embodiment:
    """The embodiment with some streams aligned by arrival, as the episode will say."""
    unknown = [name for name in names if name not in embodiment.sources]
    if unknown:
        raise FormatError(f"by arrival: expected {choice(embodiment.sources)}, found {choice(unknown)}")

    def changed(sources: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: dataclasses.replace(source, stamp="arrival") if name in names else source
            for name, source in sources.items()
        }

    return dataclasses.replace(
        embodiment,
        cameras=changed(embodiment.cameras),
        depth_cameras=changed(embodiment.depth_cameras),
        streams=changed(embodiment.streams),
    )
