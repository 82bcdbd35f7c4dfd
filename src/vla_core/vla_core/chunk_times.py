"""Where the time of a chunk went: when it, and what it came from, passed each station."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise

from vla_core.action_chunk import ActionChunk

STATIONS = (
    "exposed",
    "observation_received",
    "inference_started",
    "inference_finished",
    "published",
    "received",
    "first_used",
    "commanded",
)
"""in the order in which a chunk passes them"""

STAGES = ("sensing", "waiting", "inference", "publishing", "transport", "taking up", "lead")
"""between two stations each; what each is, is in docs/latency.md"""

TOTAL = "exposure to command"

_WAITING = 64  # chunks that may have come and not been used yet


@dataclass(frozen=True)
class ChunkTimes:
    """When a chunk passed each station, on the clock of the header stamps [ns]; 0 where that is not known.

    Attributes:
        policy_id, sequence: of the chunk.
        exposed: header stamp of the observation.
        observation_received: the last message of the observation came to the policy_node.
        inference_started, inference_finished, published: there.
        received: by the command_node.
        first_used: a plan was made from it.
        commanded: that plan takes effect in the controller.
    """

    policy_id: str
    sequence: int
    exposed: int
    observation_received: int
    inference_started: int
    inference_finished: int
    published: int
    received: int
    first_used: int
    commanded: int

    @property
    def stations_ns(self) -> tuple[int, ...]:
        """In the order of ``STATIONS`` [ns]."""
        return tuple(getattr(self, name) for name in STATIONS)

    def stages_ms(self) -> tuple[float | None, ...]:
        """How long each of ``STAGES`` took, and then all of it [ms]; None where one end of it is not known."""
        stamps = self.stations_ns
        pairs = [*pairwise(stamps), (stamps[0], stamps[-1])]
        return tuple((end - begin) * 1e-6 if begin and end else None for begin, end in pairs)


class ChunkFollower:
    """Notes when chunks come, and tells the times of each when the first plan is made from it."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[str, int], tuple[ActionChunk, int]] = OrderedDict()

    def reset(self) -> None:
        """Forgets the chunks that have come."""
        self._waiting.clear()

    def received(self, chunk: ActionChunk, now_ns: int) -> None:
        """Takes note of a chunk that came at a time [ns] and will be used."""
        self._waiting[chunk.policy_id, chunk.sequence] = (chunk, now_ns)
        while len(self._waiting) > _WAITING:
            self._waiting.popitem(last=False)

    def planned(self, ruling: ActionChunk | None, now_ns: int, takes_effect_ns: int) -> ChunkTimes | None:
        """Takes note of a plan that is made at a time and takes effect at another [ns].

        Args:
            ruling: the chunk that rules at the time; None: none.

        Returns:
            The times of the chunk, if this is the first plan made from it. Chunks that came before it have missed their turn.
        """
        if ruling is None or (key := (ruling.policy_id, ruling.sequence)) not in self._waiting:
            return None
        while True:
            found, (chunk, received_ns) = self._waiting.popitem(last=False)
            if found == key:
                break
        stations = chunk.stations
        return ChunkTimes(
            policy_id=chunk.policy_id,
            sequence=chunk.sequence,
            exposed=chunk.observation_ns,
            observation_received=stations.observation_received_ns,
            inference_started=stations.inference_started_ns,
            inference_finished=stations.inference_finished_ns,
            published=stations.published_ns,
            received=received_ns,
            first_used=now_ns,
            commanded=takes_effect_ns,
        )
