"""Representations of rotations, each to and from each other.

==================== ===== ==================================================================================
representation       size  what it is
==================== ===== ==================================================================================
axis_angle           3     axis times angle [rad]
rpy                  3     roll, pitch, yaw: about the fixed x, then y, then z [rad]
euler_xyz            3     about x, then the new y, then the new z [rad]
quaternion_xyzw      4     ROS, SciPy; of the two that mean the same, w is not negative
quaternion_wxyz      4     MuJoCo, pytorch3d
rotation_6d_rows     6     the first two rows of the matrix (pytorch3d, GR00T)
rotation_6d_columns  6     the first two columns of the matrix (Zhou et al. 2019)
matrix               9     row by row
==================== ===== ==================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vla_core.embodiment.spaces import Representation

Array = NDArray[Any]


def to_matrix(values: Array, representation: Representation) -> Array:
    """Rotations (..., size of the representation) as matrices (..., 3, 3)."""
    flat = values.reshape(-1, SIZES[representation])
    return _READ[representation](flat).reshape(*values.shape[:-1], 3, 3)


def from_matrix(matrices: Array, representation: Representation) -> Array:
    """Matrices (..., 3, 3) as a representation (..., its size)."""
    flat = matrices.reshape(-1, 3, 3)
    return _WRITE[representation](flat).reshape(*matrices.shape[:-2], SIZES[representation])


def _orthonormal(first: Array, second: Array) -> tuple[Array, Array, Array]:
    """Three directions (n, 3) at right angles, of two that need not be: a network's output is not a rotation exactly."""
    x = first / np.linalg.norm(first, axis=-1, keepdims=True)
    across = second - (x * second).sum(axis=-1, keepdims=True) * x
    y = across / np.linalg.norm(across, axis=-1, keepdims=True)
    return x, y, np.cross(x, y)


def _wxyz(quaternions: Array) -> Array:
    return quaternions[:, [3, 0, 1, 2]]


def _xyzw(quaternions: Array) -> Array:
    return quaternions[:, [1, 2, 3, 0]]


SIZES: dict[Representation, int] = {
    "axis_angle": 3,
    "rpy": 3,
    "euler_xyz": 3,
    "quaternion_xyzw": 4,
    "quaternion_wxyz": 4,
    "rotation_6d_rows": 6,
    "rotation_6d_columns": 6,
    "matrix": 9,
}
_READ: dict[Representation, Callable[[Array], Array]] = {
    "axis_angle": lambda x: Rotation.from_rotvec(x).as_matrix(),
    "rpy": lambda x: Rotation.from_euler("xyz", x).as_matrix(),
    "euler_xyz": lambda x: Rotation.from_euler("XYZ", x).as_matrix(),
    "quaternion_xyzw": lambda x: Rotation.from_quat(x).as_matrix(),
    "quaternion_wxyz": lambda x: Rotation.from_quat(_xyzw(x)).as_matrix(),
    "rotation_6d_rows": lambda x: np.stack(_orthonormal(x[:, :3], x[:, 3:]), axis=-2),
    "rotation_6d_columns": lambda x: np.stack(_orthonormal(x[:, :3], x[:, 3:]), axis=-1),
    "matrix": lambda x: Rotation.from_matrix(x.reshape(-1, 3, 3)).as_matrix(),
}
_WRITE: dict[Representation, Callable[[Array], Array]] = {
    "axis_angle": lambda m: Rotation.from_matrix(m).as_rotvec(),
    "rpy": lambda m: Rotation.from_matrix(m).as_euler("xyz"),
    "euler_xyz": lambda m: Rotation.from_matrix(m).as_euler("XYZ"),
    "quaternion_xyzw": lambda m: Rotation.from_matrix(m).as_quat(canonical=True),
    "quaternion_wxyz": lambda m: _wxyz(Rotation.from_matrix(m).as_quat(canonical=True)),
    "rotation_6d_rows": lambda m: m[:, :2].reshape(-1, 6),
    "rotation_6d_columns": lambda m: np.concatenate([m[:, :, 0], m[:, :, 1]], axis=-1),
    "matrix": lambda m: m.reshape(-1, 9),
}
