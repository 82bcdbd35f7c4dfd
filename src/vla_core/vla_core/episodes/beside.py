"""What is recorded beside the rows: values that have times of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_core.action_chunk import ActionChunk
from vla_core.chunk_times import ChunkTimes


@dataclass(frozen=True, eq=False)
class NativeSamples:
    """Samples of one stream at its own rate, in the order in which they arrived.

    Attributes:
        stream: name of the stream.
        stamps_ns: source times (k,) int64, on the clock of the header stamps [ns].
        receive_ns: when they arrived (k,) int64, on the clock of the receiving process [ns].
        values: (k, n) float64, in the order and units of the stream's fields.
    """

    stream: str
    stamps_ns: NDArray[np.int64]
    receive_ns: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.stamps_ns)


@dataclass(frozen=True, eq=False)
class RolloutChunk:
    """A chunk of actions that came during a rollout.

    Attributes:
        chunk: as the policy sent it.
        receive_ns: when it arrived at the recorder, on the clock of the receiving process [ns].
        strategy: how chunks were followed then, for example ``temporal_ensembling``; empty if nobody said so.
        shadow: true if it was not executed, only inferred.
    """

    chunk: ActionChunk
    receive_ns: int
    strategy: str
    shadow: bool


@dataclass(frozen=True, eq=False)
class Rollout:
    """All chunks of an episode, in the order in which they arrived.

    Attributes:
        observation_ns: stamps of the observations they were inferred from (C,) int64 [ns].
        start_ns: when their first actions are meant (C,) int64 [ns].
        step_ns: time between two of their actions (C,) int64 [ns].
        receive_ns: when they arrived at the recorder (C,) int64 [ns].
        latency_ns: how long inference took (C,) int64 [ns].
        sequence: their numbers since the policy was loaded (C,) int64.
        shadow: which of them were not executed (C,) bool.
        horizon: how many actions each of them has (C,) int64.
        actions: (C, longest horizon, action_dim) float64; NaN behind a shorter chunk's last action.
        policy_ids: the policy of each.
        strategies: how chunks were followed when it came.
        names: of the action's dimensions.
    """

    observation_ns: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    step_ns: NDArray[np.int64]
    receive_ns: NDArray[np.int64]
    latency_ns: NDArray[np.int64]
    sequence: NDArray[np.int64]
    shadow: NDArray[np.bool_]
    horizon: NDArray[np.int64]
    actions: NDArray[np.float64]
    policy_ids: tuple[str, ...]
    strategies: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.start_ns)

    def chunks(self) -> Iterator[RolloutChunk]:
        """The chunks as they were recorded."""
        for index in range(len(self)):
            chunk = ActionChunk(
                actions=self.actions[index, : self.horizon[index]],
                names=self.names,
                start_ns=int(self.start_ns[index]),
                step_ns=int(self.step_ns[index]),
                observation_ns=int(self.observation_ns[index]),
                policy_id=self.policy_ids[index],
                sequence=int(self.sequence[index]),
                inference_latency_ns=int(self.latency_ns[index]),
            )
            yield RolloutChunk(chunk, int(self.receive_ns[index]), self.strategies[index], bool(self.shadow[index]))


@dataclass(frozen=True)
class CommandState:
    """What command_node did from a time on.

    Attributes:
        stamp_ns: since when, on the clock of the header stamps [ns].
        state: ``ready``, ``shadow``, ``armed``, ``running``, ``holding``, ``fault`` or ``unconfigured``.
        message: what it said about it; empty when all is well.
        intervention: whether a teleoperator had the arm.
    """

    stamp_ns: int
    state: str
    message: str = ""
    intervention: bool = False


Beside = NativeSamples | RolloutChunk | ChunkTimes | CommandState
