"""What is recorded beside the steps: streams at their own rate, and the chunks of a policy."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from vla_core.action_chunk import ActionChunk, validate_chunk
from vla_core.chunk_times import ChunkTimes
from vla_core.embodiment import Embodiment
from vla_core.episodes import Beside, CommandState, NativeSamples, RolloutChunk
from vla_core.errors import ChunkError, VlaError
from vla_core.observation import Sample
from vla_recorder.recording import Recording

_KEEP_NS = 1_000_000_000  # a step is decided a fraction of a second after its time
_SAID = 50  # changes of what command_node says, which it says ten times a second
_BATCH = 500  # samples that are handed over at the latest


@dataclass(frozen=True)
class Commanding:
    """What command_node said about itself at a time.

    Attributes:
        executes: whether the robot follows chunks: armed, and not in shadow mode.
        strategy: how it combines them.
        policy_id: the policy that it follows at the moment; empty if it follows none.
        stamp_ns: when [ns].
    """

    executes: bool = False
    strategy: str = ""
    policy_id: str = ""
    stamp_ns: int = 0

    @property
    def policy_drives(self) -> bool:
        """Whether a policy's actions are executed."""
        return self.executes and bool(self.policy_id)


class BesideTheSteps:
    """Hands samples and chunks to the writer of the running episode, and knows when a policy drives.

    Samples of the second before are kept while none is running, because its first step is older than its beginning.

    Attributes:
        refused: chunks of the episode that are none for this robot.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        self._said = deque([Commanding()], maxlen=_SAID)  # with each change, oldest first
        self.refused = 0
        self._reason = ""
        self._names = embodiment.action_names
        self._step_ns = embodiment.step_ns
        self._state: CommandState | None = None
        self._episode: Recording | None = None
        self._samples: dict[str, list[Sample]] = {
            name: [] for name, stream in embodiment.streams.items() if stream.native
        }

    @property
    def commanding(self) -> Commanding:
        """What command_node does with the chunks that come from now on."""
        return self._said[-1]

    @commanding.setter
    def commanding(self, commanding: Commanding) -> None:
        if replace(commanding, stamp_ns=self._said[-1].stamp_ns) != self._said[-1]:
            self._said.append(commanding)

    def policy_drives(self, time_ns: int) -> bool:
        """Whether a policy's actions were executed at a time of the last second [ns]."""
        return next((said.policy_drives for said in reversed(self._said) if said.stamp_ns <= time_ns), False)

    def begin(self, episode: Recording) -> None:
        """What comes from now on belongs to this episode."""
        self._episode = episode
        self.refused, self._reason = 0, ""
        if self._state is not None:
            self._hand_over(self._state)

    def end(self) -> None:
        """Hands over what is left; the episode is over."""
        self.flush()
        self._episode = None

    def sample(self, stream: str, sample: Sample) -> None:
        """Takes a message of a stream; ignores those of streams that are not kept at their own rate."""
        kept = self._samples.get(stream)
        if kept is None:
            return
        kept.append(sample)
        if self._episode is None or not self._episode.appended:
            _forget_old(kept)
        elif len(kept) >= _BATCH:
            self.flush()

    def chunk(self, chunk: ActionChunk, receive_ns: int) -> None:
        """Takes a chunk that a policy sent and that arrived at a time [ns]."""
        if self._episode is None:
            return
        try:
            validate_chunk(chunk, self._names)
        except ChunkError as error:
            self.refused += 1
            self._reason = str(error)
            return
        shadow = not self.commanding.executes
        self._hand_over(RolloutChunk(chunk, receive_ns, self.commanding.strategy, shadow))

    def times(self, times: ChunkTimes) -> None:
        """Takes when a chunk of the episode passed each station."""
        self._hand_over(times)

    def state(self, state: CommandState) -> None:
        """Takes what command_node says that it does; only changes are recorded, and what it did at the beginning."""
        known = self._state
        if known is None or (state.state, state.intervention) != (known.state, known.intervention):
            self._state = state
            self._hand_over(state)

    def flush(self) -> None:
        """Hands over the samples that wait. To be called with every step."""
        if self._episode is not None and self._episode.appended:
            for record in self._taken(self._episode.stamps_ns[0] - self._step_ns):
                self._hand_over(record)

    def remark(self) -> str:
        """What the operator should know; empty if all is well."""
        return f"{self.refused} action chunks not recorded: {self._reason}" if self.refused else ""

    def _taken(self, from_ns: int) -> Iterator[NativeSamples]:
        for name, kept in self._samples.items():
            found = [sample for sample in kept if sample.stamp_ns >= from_ns]
            kept.clear()
            if found:
                yield _joined(name, found)

    def _hand_over(self, record: Beside) -> None:
        if self._episode is not None:
            with suppress(VlaError):  # the next step meets with it too, and ends the episode
                self._episode.writer.beside(record)


def _forget_old(kept: list[Sample]) -> None:
    """Forgets what arrived more than a second before the newest, in one go for many."""
    if kept[-1].receive_ns - kept[0].receive_ns > 2 * _KEEP_NS:
        kept[:] = [sample for sample in kept if kept[-1].receive_ns - sample.receive_ns <= _KEEP_NS]


def _joined(name: str, samples: list[Sample]) -> NativeSamples:
    return NativeSamples(
        stream=name,
        stamps_ns=np.array([sample.stamp_ns for sample in samples], dtype=np.int64),
        receive_ns=np.array([sample.receive_ns for sample in samples], dtype=np.int64),
        values=np.stack([np.asarray(sample.value, dtype=np.float64) for sample in samples]),
    )
