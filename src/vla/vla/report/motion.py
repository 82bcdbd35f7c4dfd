"""How the arm moved in an episode: measured, commanded, and what the policy wanted, by action dimension."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_core.action_chunk import ActionChunk
from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeReader

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Dimension:
    """One dimension of the action over an episode of k steps.

    Attributes:
        name: of the action.
        unit: of all its values.
        time_s: (k,) since the first step [s].
        commanded: (k,) what the controller was asked for.
        measured: (k,) where the robot was; None where the proprioception does not hold it.
        wanted: for each chunk its times since the first step [s] and its actions, both (horizon,).
    """

    name: str
    unit: str
    time_s: Array
    commanded: Array
    measured: Array | None
    wanted: tuple[tuple[Array, Array], ...]


def motion_of(episode: EpisodeReader, chunks: Iterable[ActionChunk] = ()) -> tuple[Dimension, ...]:
    """Each dimension of the action, with the chunks that were inferred during the episode."""
    embodiment = episode.info.metadata.embodiment
    steps = episode.markers == 0
    stamps_ns = episode.stamps_ns[steps]
    actions, qpos = episode.actions[steps], episode.qpos[steps]
    own = [
        chunk
        for chunk in chunks
        if chunk.names == embodiment.action_names and stamps_ns[0] <= chunk.observation_ns <= stamps_ns[-1]
    ]
    time_s = (stamps_ns - stamps_ns[0]) * 1e-9
    columns = _measured_columns(embodiment)
    return tuple(
        Dimension(
            name,
            embodiment.action_units[index],
            time_s,
            actions[:, index],
            None if columns[index] is None else qpos[:, columns[index]],
            tuple(_until(chunk, index, int(stamps_ns[0]), float(time_s[-1])) for chunk in own),
        )
        for index, name in enumerate(embodiment.action_names)
    )


def _measured_columns(embodiment: Embodiment) -> list[int | None]:
    """For each action dimension the column of ``qpos`` that measures it: that of the same name, or the gripper's state."""
    names = embodiment.names_of(embodiment.proprioception.get("qpos", ()))
    measures = {name: name for name in names}
    gripper = embodiment.gripper
    if gripper is not None:
        state = embodiment.names_of((gripper.state,))[0]
        commands = [
            reference
            for reference in embodiment.action.fields
            if embodiment.field(reference)[1].topic == gripper.command_topic
        ]
        measures |= dict.fromkeys(embodiment.names_of(tuple(commands)), state)
    return [names.index(measures[name]) if measures.get(name) in names else None for name in embodiment.action_names]


def _until(chunk: ActionChunk, index: int, began_ns: int, end_s: float) -> tuple[Array, Array]:
    """A chunk's times and values of one dimension, up to the end of the episode."""
    time_s = np.asarray((chunk.times_ns() - began_ns) * 1e-9, dtype=np.float64)
    kept = time_s <= end_s
    return time_s[kept], chunk.actions[kept, index]
