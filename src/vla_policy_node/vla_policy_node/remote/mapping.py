"""What a server's names and numbers mean, and the translation of observations and actions into and out of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Constraint

from vla_core import config
from vla_core.embodiment import Embodiment
from vla_core.errors import ConfigError, PeerError, choice
from vla_core.observation import Observation

MAX_HORIZON = 1000
Meaning = Literal["absolute", "from_state", "from_previous"]
Group = Literal["qpos", "qvel", "effort"]


@dataclass(frozen=True)
class StateInput:
    """A vector that the server is sent.

    ``open`` and ``closed`` are the server's numbers for an open and a closed gripper; where they are given, the vector is the
    gripper's position, and is sent between them.
    """

    group: Group = "qpos"
    names: tuple[str, ...] = ()
    """of the group's elements; empty: all"""
    open: float | None = None
    closed: float | None = None
    dtype: Literal["float32", "float64"] = "float32"


@dataclass(frozen=True)
class ActionOutput:
    """Columns of an array that the server answers with.

    meaning: ``absolute`` targets; changes ``from_state``, each from where the robot was when it was observed; or changes
    ``from_previous``, each from the action before it, and the first from where the robot was.
    """

    names: tuple[str, ...]
    """the actions of the embodiment that they are, in their order"""
    key: str = "actions"
    first: Annotated[int, Constraint(ge=0)] = 0
    """the first of the columns"""
    meaning: Meaning = "absolute"
    scale: float = 1.0
    """multiplies them; joint velocities are changes ``from_previous`` with the step's duration as scale"""
    open: float | None = None
    """the server's number for an open gripper; with ``closed``, the column is the gripper's"""
    closed: float | None = None


@dataclass(frozen=True)
class RemoteMapping:
    """What a server cannot say by itself. See docs/remote.md for an example.

    A key with dots in it is a path for a server that nests (GR00T): ``video.ego`` is ``ego`` below ``video``.
    """

    schema: Literal["vla/remote/1"]
    rate_hz: Annotated[float, Constraint(gt=0)]
    """actions per second"""
    actions: tuple[ActionOutput, ...]
    images: Mapping[str, str] = field(default_factory=dict)
    """server's key to the camera's role"""
    states: Mapping[str, StateInput] = field(default_factory=dict)
    """server's key to what is sent there"""
    prompt: str = ""
    """server's key; empty: it is not told the prompt"""


class Translation:
    """Between a robot and a server.

    Args:
        mapping: what the server's names mean.
        embodiment: the robot.
        where: what the mapping is, for errors.

    Raises:
        ConfigError: the mapping does not fit the robot.
    """

    def __init__(self, mapping: RemoteMapping, embodiment: Embodiment, where: str) -> None:
        self.mapping = mapping
        self.step_ns = round(1e9 / mapping.rate_hz)
        self._embodiment = embodiment
        self._where = where
        self._indices = {key: self._state_indices(key, state) for key, state in mapping.states.items()}
        self._require_cameras()
        self._outputs = [(output, self._action_indices(output)) for output in mapping.actions]
        self._require_every_action()
        self._bases = [self._base_indices(output) for output in mapping.actions]

    @property
    def keys(self) -> tuple[str, ...]:
        """Everything that the server is sent."""
        prompt = (self.mapping.prompt,) if self.mapping.prompt else ()
        return (*self.mapping.images, *self.mapping.states, *prompt)

    def inputs(self, observation: Observation) -> dict[str, Any]:
        """What the server is sent: images (H, W, 3) uint8, vectors, and the prompt, by its keys."""
        sent: dict[str, Any] = {key: observation.images[role] for key, role in self.mapping.images.items()}
        for key, state in self.mapping.states.items():
            values = observation.proprioception[state.group][self._indices[key]]
            if state.open is not None and state.closed is not None:
                values = _between(values, self._gripper, (state.open, state.closed))
            sent[key] = values.astype(state.dtype)
        if self.mapping.prompt:
            sent[self.mapping.prompt] = observation.prompt
        return sent

    def actions(self, answer: Mapping[str, Any], observation: Observation) -> NDArray[np.float64]:
        """The actions (horizon, action_dim) in an answer [units of the embodiment].

        Raises:
            PeerError: an array is missing, or has not the shape or the numbers that it must have.
        """
        columns = [self._columns(answer, output) for output, _ in self._outputs]
        horizons = {len(values) for values in columns}
        if len(horizons) != 1:
            raise PeerError(f"answer: expected arrays of as many actions each, found {sorted(horizons)}")
        actions = np.empty((horizons.pop(), len(self._embodiment.action_names)))
        for (output, indices), base, values in zip(self._outputs, self._bases, columns, strict=True):
            actions[:, indices] = self._meant(output, values, base, observation)
        return actions

    def _columns(self, answer: Mapping[str, Any], output: ActionOutput) -> NDArray[np.float64]:
        values = answer.get(output.key)
        if not isinstance(values, np.ndarray):
            raise PeerError(f"answer: expected an array under '{output.key}', found {str(list(answer))[:200]}")
        last = output.first + len(output.names)
        if (
            values.ndim != 2
            or not 1 <= len(values) <= MAX_HORIZON
            or values.shape[1] < last
            or values.dtype.kind not in "fiu"
        ):
            raise PeerError(
                f"answer: {output.key}: expected numbers of shape (1 to {MAX_HORIZON}, {last} or more), found {values.shape} "
                f"{values.dtype}"
            )
        chosen = values[:, output.first : last].astype(np.float64)
        if not np.isfinite(chosen).all():
            raise PeerError(f"answer: {output.key}: expected finite numbers, found some that are not")
        return chosen

    def _meant(
        self, output: ActionOutput, values: NDArray[np.float64], base: list[int], observation: Observation
    ) -> NDArray[np.float64]:
        if output.open is not None and output.closed is not None:
            return _between(values, (output.open, output.closed), self._gripper)
        scaled = values * output.scale
        if output.meaning == "absolute":
            return scaled
        changes = np.cumsum(scaled, axis=0) if output.meaning == "from_previous" else scaled
        moved: NDArray[np.float64] = observation.proprioception["qpos"][base] + changes
        return moved

    # -- whether the mapping fits the robot ----------------------------------------------------------------------------

    @property
    def _gripper(self) -> tuple[float, float]:
        assert self._embodiment.gripper is not None, "was looked for when the mapping was read"
        return self._embodiment.gripper.open, self._embodiment.gripper.closed

    def _require_cameras(self) -> None:
        for key, role in self.mapping.images.items():
            if role not in self._embodiment.cameras:
                raise ConfigError(
                    f"{self._where}: images: {key}: expected {choice(self._embodiment.cameras)}, found '{role}'"
                )

    def _state_indices(self, key: str, state: StateInput) -> list[int]:
        where = f"{self._where}: states: {key}"
        names = self._observed(state.group, where)
        self._require_gripper(state, where)
        return [_index(name, names, where) for name in state.names or names]

    def _action_indices(self, output: ActionOutput) -> list[int]:
        where = f"{self._where}: actions: {output.key}"
        indices = [_index(name, self._embodiment.action_names, where) for name in output.names]
        gripper = self._embodiment.gripper
        if self._require_gripper(output, where):
            assert gripper is not None, "was just looked for"
            if output.names != (gripper.action,) or output.meaning != "absolute" or output.scale != 1.0:
                raise ConfigError(
                    f"{where}: open and closed: expected the one absolute action '{gripper.action}', without scale"
                )
        return indices

    def _base_indices(self, output: ActionOutput) -> list[int]:
        """Where in qpos the values are that changes begin at."""
        if output.meaning == "absolute":
            return []
        where = f"{self._where}: actions: {output.key}: {output.meaning}"
        observed = self._observed("qpos", where)
        return [_index(name, observed, where) for name in output.names]

    def _require_gripper(self, given: StateInput | ActionOutput, where: str) -> bool:
        if (given.open is None) != (given.closed is None) or (given.open is not None and given.open == given.closed):
            raise ConfigError(f"{where}: expected open and closed, two different numbers, or neither")
        if given.open is not None and self._embodiment.gripper is None:
            raise ConfigError(f"{where}: expected a gripper, '{self._embodiment.name}' has none")
        return given.open is not None

    def _require_every_action(self) -> None:
        given = [name for output in self.mapping.actions for name in output.names]
        if sorted(given) != sorted(self._embodiment.action_names):
            raise ConfigError(
                f"{self._where}: actions: expected each of {list(self._embodiment.action_names)} once, found {given}"
            )

    def _observed(self, group: Group, where: str) -> tuple[str, ...]:
        references = self._embodiment.proprioception.get(group)
        if references is None:
            raise ConfigError(f"{where}: group: expected {choice(self._embodiment.proprioception)}, found '{group}'")
        return self._embodiment.names_of(references)


def load_mapping(path: Path) -> RemoteMapping:
    """Reads a mapping. Raises ConfigError."""
    return config.load(RemoteMapping, path)


def _between(
    values: NDArray[np.float64], theirs: tuple[float, float], ours: tuple[float, float]
) -> NDArray[np.float64]:
    """Values on the line on which the first two numbers become the other two."""
    share = (values - theirs[0]) / (theirs[1] - theirs[0])
    moved: NDArray[np.float64] = ours[0] + share * (ours[1] - ours[0])
    return moved


def _index(name: str, names: tuple[str, ...], where: str) -> int:
    if name not in names:
        raise ConfigError(f"{where}: expected some of {list(names)}, found '{name}'")
    return names.index(name)
