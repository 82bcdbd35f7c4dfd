"""Reading what a client of our server asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from vla_core.action_chunk import ActionChunk, validate_chunk
from vla_core.action_prefix import ActionPrefix
from vla_core.embodiment import Embodiment
from vla_core.errors import PeerError, choice
from vla_core.observation import Observation
from vla_core.strategies import Decay
from vla_policy_node.remote import served
from vla_policy_node.remote.mapping import MAX_HORIZON

_MAX_PIXELS = 1 << 24
_MAX_NS = 1 << 62
_decays: dict[str, Decay] = {name: name for name in get_args(Decay)}


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be inferred, and whether what was seen before is to be forgotten first."""

    observation: Observation
    prefix: ActionPrefix | None
    reset: bool


def read_request(values: Any, embodiment: Embodiment) -> Request:
    """Reads a request.

    Args:
        values: what came in a message.
        embodiment: of the policy.

    Raises:
        PeerError: a key is missing, unknown, or has another type or shape than it must have.
        ChunkError: the prefix is of other actions.
    """
    if not isinstance(values, dict):
        raise PeerError(f"request: expected a map, found {type(values).__name__}")
    images = {served.IMAGES + role: role for role in embodiment.cameras}
    states = {served.STATE + group: group for group in embodiment.proprioception}
    optional = (served.PROMPT, served.STAMP, served.RESET, served.PREFIX)
    expected = (*images, *states)
    if missing := [key for key in expected if key not in values]:
        raise PeerError(f"request: expected '{missing[0]}', found {choice(_named(values))}")
    if unknown := [key for key in values if key not in (*expected, *optional)]:
        raise PeerError(f"request: expected {choice((*expected, *optional))}, found {str(unknown[0])[:80]!r}")
    stamp_ns = _number(values, served.STAMP, _MAX_NS)
    observation = Observation(
        stamp_ns=stamp_ns,
        images={role: _image(key, values[key]) for key, role in images.items()},
        proprioception={
            group: _vector(key, values[key], len(embodiment.names_of(embodiment.proprioception[group])))
            for key, group in states.items()
        },
        prompt=_of_type(values, served.PROMPT, str, ""),
        ages_ns={},
    )
    prefix = _read_prefix(values[served.PREFIX], embodiment) if served.PREFIX in values else None
    return Request(observation, prefix, _of_type(values, served.RESET, bool, False))


def _read_prefix(values: Any, embodiment: Embodiment) -> ActionPrefix:
    if not isinstance(values, dict) or set(values) != set(served.PREFIX_KEYS):
        raise PeerError(f"request: {served.PREFIX}: expected a map of {choice(served.PREFIX_KEYS)}")
    actions = values["actions"]
    if not isinstance(actions, np.ndarray) or actions.dtype.kind != "f" or len(actions) > MAX_HORIZON:
        raise PeerError(f"request: {served.PREFIX}: expected at most {MAX_HORIZON} actions, found {_shape(actions)}")
    decay = _decays.get(_of_type(values, "decay", str, ""))
    if decay is None:
        raise PeerError(f"request: {served.PREFIX}: decay: expected {choice(_decays)}, found {values['decay'][:80]!r}")
    start_ns, step_ns = _number(values, "start_ns", _MAX_NS), _number(values, "step_ns", _MAX_NS)
    chunk = ActionChunk(actions.astype(np.float64), embodiment.action_names, start_ns, step_ns, start_ns)
    validate_chunk(chunk, embodiment.action_names)
    delay = _number(values, "delay", MAX_HORIZON)
    return ActionPrefix(chunk, delay, _number(values, "execution_horizon", MAX_HORIZON), decay)


def _image(key: str, value: Any) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3:
        raise PeerError(f"request: {key}: expected an image (height, width, 3) uint8, found {_shape(value)}")
    if not 0 < value.shape[0] * value.shape[1] <= _MAX_PIXELS:
        raise PeerError(f"request: {key}: expected 1 to {_MAX_PIXELS} pixels, found {_shape(value)}")
    return value


def _vector(key: str, value: Any, size: int) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.shape != (size,):
        raise PeerError(f"request: {key}: expected {size} floating-point numbers, found {_shape(value)}")
    return value.astype(np.float64)


def _number(values: Mapping[Any, Any], key: str, most: int) -> int:
    value: int = _of_type(values, key, int, 0)
    if not 0 <= value <= most:
        raise PeerError(f"request: {key}: expected 0 to {most}, found {value}")
    return value


def _of_type(values: Mapping[Any, Any], key: str, kind: type, default: Any) -> Any:
    value = values.get(key, default)
    if type(value) is not kind:
        raise PeerError(f"request: {key}: expected {kind.__name__}, found {type(value).__name__}")
    return value


def _shape(value: Any) -> str:
    return f"{value.shape} {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__


def _named(values: Mapping[Any, Any]) -> list[str]:
    return [str(key)[:40] for key in list(values)[:20]]
