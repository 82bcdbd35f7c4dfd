"""A chunk of actions that carries its own time."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_core.errors import ChunkError


@dataclass(frozen=True)
class Stations:
    """When what became a chunk passed each station, on the clock of the header stamps [ns]; 0 where that is not known.

    Attributes:
        observation_received_ns: the last message of its observation came in.
        inference_started_ns, inference_finished_ns: the policy began and ended.
        published_ns: the chunk was published.
    """

    observation_received_ns: int = 0
    inference_started_ns: int = 0
    inference_finished_ns: int = 0
    published_ns: int = 0


@dataclass(frozen=True, eq=False)
class ActionChunk:
    """What a policy wants for the next ``action_horizon`` steps: action ``k`` is meant at ``start_ns + k * step_ns``.

    Attributes:
        actions: (action_horizon, action_dim) float64 [rad | m | ..., one unit per dimension as the embodiment says].
        names: action_dim names, in the order of the embodiment's action space.
        start_ns: when ``actions[0]`` is meant, on the clock of the header stamps [ns].
        step_ns: time between two actions [ns].
        observation_ns: stamp of the observation it was inferred from [ns].
        policy_id: which policy and checkpoint.
        sequence: 0, 1, 2 ... since the policy was loaded.
        inference_latency_ns: measured from the assembled observation to the actions [ns].
        stations: when it, and what it came from, passed on its way.
    """

    actions: NDArray[np.float64]
    names: tuple[str, ...]
    start_ns: int
    step_ns: int
    observation_ns: int
    policy_id: str = ""
    sequence: int = 0
    inference_latency_ns: int = 0
    stations: Stations = Stations()

    @property
    def end_ns(self) -> int:
        """When the last action is meant [ns]."""
        return self.start_ns + (len(self.actions) - 1) * self.step_ns

    def passed(self, time_ns: int) -> bool:
        """Whether all of it has passed: an action is meant for a step."""
        return self.end_ns + self.step_ns < time_ns

    def inferred_within(self, latency_ns: int) -> ActionChunk:
        """The same chunk, whose inference took so long [ns] from its start."""
        finished_ns = self.stations.inference_started_ns + latency_ns if self.stations.inference_started_ns else 0
        stations = dataclasses.replace(self.stations, inference_finished_ns=finished_ns)
        return dataclasses.replace(self, inference_latency_ns=latency_ns, stations=stations)

    def published_at(self, now_ns: int) -> ActionChunk:
        """The same chunk, as it is published at a time [ns]."""
        return dataclasses.replace(self, stations=dataclasses.replace(self.stations, published_ns=now_ns))

    def times_ns(self) -> NDArray[np.int64]:
        """When each action is meant (action_horizon,) [ns]."""
        return self.start_ns + self.step_ns * np.arange(len(self.actions), dtype=np.int64)


def validate_chunk(chunk: ActionChunk, names: tuple[str, ...]) -> None:
    """Checks that a chunk can be executed by a robot with these action names.

    Raises:
        ChunkError: wrong names or order, wrong shape, no actions, a value that is not finite, or a step that is not positive.
    """
    if chunk.names != names:
        raise ChunkError(f"chunk {chunk.sequence}: expected the actions {list(names)}, found {list(chunk.names)}")
    if chunk.actions.ndim != 2 or chunk.actions.shape[1] != len(names) or len(chunk.actions) == 0:
        raise ChunkError(
            f"chunk {chunk.sequence}: expected actions of shape (horizon, {len(names)}), found {chunk.actions.shape}"
        )
    if chunk.step_ns <= 0:
        raise ChunkError(f"chunk {chunk.sequence}: expected a positive step duration, found {chunk.step_ns} ns")
    bad = np.argwhere(~np.isfinite(chunk.actions))
    if len(bad):
        step, dim = bad[0]
        raise ChunkError(
            f"chunk {chunk.sequence}: action {step} of '{names[dim]}' is {chunk.actions[step, dim]}, expected a finite "
            f"number ({len(bad)} of {chunk.actions.size} values are not finite)"
        )
