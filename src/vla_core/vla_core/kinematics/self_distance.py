"""How far the links of a robot are from each other.

Exact distances (``mj_geomDistance``) cost up to 25 us for one pair of shapes, and a plan has a hundred positions with a hundred
pairs each. So every shape has a capsule around it, and only pairs whose capsules come near are asked for exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vla_core.errors import EmbodimentMismatch
from vla_core.kinematics.model import KinematicModel
from vla_core.motion.polynomial import Array

_APART = 3  # joints between two links that are looked at: nearer ones touch by construction, or cannot meet
_NEAR = 0.02  # capsules nearer than the wanted distance and this are asked for exactly [m]
_TINY = 1e-12

Pairs = NDArray[np.intp]


def self_distance(model: KinematicModel, least: float) -> Callable[[Array], Array]:
    """The distance of a robot from itself as a function: joint positions (k, n) to the smallest distances (k,) [m].

    Where nothing comes near ``least``, it is a lower bound. What stands in the world of the model is not the robot; pairs of
    bodies that the model excludes from contact are left out.

    Raises:
        EmbodimentMismatch: the model has no shapes that could meet.
    """
    import mujoco

    pairs = _pairs(model)
    if not len(pairs):
        raise EmbodimentMismatch(
            f"kinematics.self_distance: expected a model with shapes (geoms) on links that are {_APART} joints or more apart, "
            "found none"
        )
    exactly = partial(mujoco.mj_geomDistance, model.mujoco)
    return partial(_distances, model, pairs, _capsules(model), least + _NEAR, exactly)


def _distances(
    model: KinematicModel,
    pairs: Pairs,
    capsules: tuple[Array, Array],
    near: float,
    exactly: Callable[..., float],
    positions: Array,
) -> Array:
    half, radius = capsules
    centers, axes = np.empty((len(positions), *half.shape)), np.empty((len(positions), *half.shape))
    for row, position in enumerate(positions):
        data = model.placed(position)
        centers[row] = data.geom_xpos
        axes[row] = (data.geom_xmat.reshape(-1, 3, 3) @ half[:, :, None])[:, :, 0]
    first, second = pairs[:, 0], pairs[:, 1]
    bounds = _between_segments(centers[:, first], axes[:, first], centers[:, second], axes[:, second])
    bounds -= radius[first] + radius[second]
    for index in np.flatnonzero(bounds.min(axis=1) < near):
        data = model.placed(positions[index])
        for number in np.flatnonzero(bounds[index] < near):
            bounds[index, number] = exactly(data, int(first[number]), int(second[number]), near, None)
    return np.asarray(bounds.min(axis=1))


def _between_segments(center1: Array, half1: Array, center2: Array, half2: Array) -> Array:
    """Distances (...) between segments ``center +- half`` (..., 3). After C. Ericson, Real-Time Collision Detection, 5.1.9."""
    apart = center1 - center2
    a, e, b = _dot(half1, half1) + _TINY, _dot(half2, half2) + _TINY, _dot(half1, half2)
    c, f = _dot(half1, apart), _dot(half2, apart)
    s = np.clip((b * f - c * e) / np.maximum(a * e - b * b, _TINY), -1.0, 1.0)
    t = np.clip((b * s + f) / e, -1.0, 1.0)
    s = np.clip((b * t - c) / a, -1.0, 1.0)
    return np.asarray(np.linalg.norm(apart + s[..., None] * half1 - t[..., None] * half2, axis=-1))


def _dot(left: Array, right: Array) -> Array:
    return np.asarray(np.einsum("...i,...i->...", left, right))


def _capsules(model: KinematicModel) -> tuple[Array, Array]:
    """Half axes (g, 3), in the frame of each geom, and radii (g,) of capsules around the geoms [m]."""
    import mujoco

    half, radius = np.zeros((model.mujoco.ngeom, 3)), np.array(model.mujoco.geom_rbound)
    for geom in range(model.mujoco.ngeom):
        size, kind = model.mujoco.geom_size[geom], model.mujoco.geom_type[geom]
        if kind in (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER):
            radius[geom], half[geom, 2] = size[0], size[1]
        elif kind == mujoco.mjtGeom.mjGEOM_BOX:
            longest = int(np.argmax(size))
            radius[geom] = np.linalg.norm(np.delete(size, longest))
            half[geom, longest] = size[longest]
    return half, radius


def _pairs(model: KinematicModel) -> Pairs:
    """(p, 2) geoms of links that may meet."""
    compiled = model.mujoco
    links = _links(model)
    excluded = {int(signature) for signature in compiled.exclude_signature}
    found = []
    for first in range(compiled.ngeom):
        for second in range(first + 1, compiled.ngeom):
            bodies = int(compiled.geom_bodyid[first]), int(compiled.geom_bodyid[second])
            chains = links[bodies[0]], links[bodies[1]]
            if chains[0] is None or chains[1] is None or (bodies[0] << 16) + bodies[1] in excluded:
                continue
            if len(set(chains[0]) ^ set(chains[1])) >= _APART:
                found.append((first, second))
    return np.array(found, dtype=np.intp).reshape(-1, 2)


def _links(model: KinematicModel) -> list[tuple[int, ...] | None]:
    """For each body, the commanded joints that move it; None for what is not of the robot."""
    compiled = model.mujoco
    commanded = {int(dof) for dof in model.dofs}
    roots = {int(compiled.body_rootid[compiled.dof_bodyid[dof]]) for dof in commanded}
    links: list[tuple[int, ...] | None] = []
    for body in range(compiled.nbody):
        own = range(compiled.body_dofadr[body], compiled.body_dofadr[body] + compiled.body_dofnum[body])
        before = links[int(compiled.body_parentid[body])] if body else None
        if body and int(compiled.body_rootid[body]) in roots:
            links.append((*(before or ()), *(int(dof) for dof in own if int(dof) in commanded)))
        else:
            links.append(None)
    return links
