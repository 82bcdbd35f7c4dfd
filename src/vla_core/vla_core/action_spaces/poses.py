"""Poses of the tool as policies tell them: positions and rotations, or changes of them, in each family's convention."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.embodiment import Embodiment
from vla_core.embodiment.spaces import ActionSpace, Representation
from vla_core.errors import ChunkError, EmbodimentMismatch
from vla_core.motion.polynomial import Array
from vla_core.rotations import SIZES, to_matrix

_PLACE = 3  # dimensions of a position
_SMALLEST = 1e-6  # a rotation of shorter vectors than this is none
_ANGLES: tuple[Representation, ...] = ("axis_angle", "rpy", "euler_xyz")


class Poses(NamedTuple):
    """Poses of the tool centre point in the base's frame: places (k, 3) [m], turns (k, 3, 3); and what is left (K, g)."""

    places: Array
    turns: Array
    gripper: Array


def require_poses(embodiment: Embodiment) -> None:
    """Checks that the actions of an embodiment are poses, or changes of poses, and the gripper's.

    Raises:
        EmbodimentMismatch: another number of dimensions, other units, or the gripper is not the last one.
    """
    action, gripper = embodiment.action, embodiment.gripper
    size = SIZES[action.rotation]
    expected = _PLACE + size + (gripper is not None)
    where = f"'{embodiment.name}': action.fields: with {action.kind} and the rotation {action.rotation}"
    if len(embodiment.action_names) != expected:
        raise EmbodimentMismatch(
            f"{where}: expected {expected} dimensions ({_PLACE} of the position, {size} of the rotation"
            f"{', the gripper' if gripper else ''}), found {list(embodiment.action_names)}"
        )
    if gripper is not None and embodiment.action_names[-1] != gripper.action:
        raise EmbodimentMismatch(f"{where}: expected '{gripper.action}' last, found '{embodiment.action_names[-1]}'")
    units = embodiment.action_units[: _PLACE + size]
    wanted = ("m",) * _PLACE + ("rad" if action.rotation in _ANGLES else "1",) * size
    if units != wanted:
        raise EmbodimentMismatch(f"{where}: expected the units {list(wanted)}, found {list(units)}")


def poses_of(chunk: ActionChunk, space: ActionSpace, place: Array, turn: Array) -> Poses:
    """The poses that a chunk means.

    Args:
        chunk: of ``tcp_pose`` or ``tcp_delta`` actions.
        space: their conventions.
        place, turn: (3,) and (3, 3), where the tool was commanded to be at the time of the chunk's first action.

    Returns:
        A pose for each action's time; of changes since the previous one, that at the first action's time and one after each step.

    Raises:
        ChunkError: numbers that are not a rotation.
    """
    end = _PLACE + SIZES[space.rotation]
    moved, gripper = chunk.actions[:, :_PLACE], chunk.actions[:, end:]
    turned = _turns(chunk, space.rotation, chunk.actions[:, _PLACE:end])
    if space.kind == "tcp_pose":
        return Poses(moved, turned, gripper)
    if space.since == "observation":
        if space.frame == "tool":
            return Poses(place + moved @ turn.T, turn @ turned, gripper)
        return Poses(place + moved, turned @ turn, gripper)
    places, turns = [place], [turn]
    for move, change in zip(moved, turned, strict=True):
        if space.frame == "tool":
            places.append(places[-1] + turns[-1] @ move)
            turns.append(turns[-1] @ change)
        else:
            places.append(places[-1] + move)
            turns.append(change @ turns[-1])
    return Poses(np.array(places), np.array(turns), gripper)


def _turns(chunk: ActionChunk, representation: Representation, values: Array) -> Array:
    """Rotations (K, size) as matrices (K, 3, 3)."""
    if representation not in _ANGLES:
        parts = values.reshape(len(values), -1, 4 if representation.startswith("quaternion") else 3)
        short = np.argwhere(np.linalg.norm(parts, axis=2) < _SMALLEST)
        if len(short):
            raise ChunkError(
                f"chunk {chunk.sequence}: the rotation of action {short[0][0]}: expected a {representation}, found "
                f"{values[short[0][0]].tolist()}"
            )
    turns = to_matrix(values, representation)
    bad = np.flatnonzero(~np.isfinite(turns).all(axis=(1, 2)))
    if len(bad):
        raise ChunkError(
            f"chunk {chunk.sequence}: the rotation of action {bad[0]}: expected a {representation}, found "
            f"{values[bad[0]].tolist()}"
        )
    return turns
