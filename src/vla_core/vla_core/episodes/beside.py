"""What is recorded beside the rows: values that have times of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

import numpy as np
from numpy.typing import NDArray

from vla_core.action_chunk import ActionChunk


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


Beside = Union[NativeSamples, RolloutChunk]
