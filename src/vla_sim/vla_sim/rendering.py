"""Images of a MuJoCo world without a screen: EGL, or OSMesa where there is no EGL."""

from __future__ import annotations

import ctypes
import importlib
import os
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_sim.errors import SimulationError

_LIBRARIES = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}
_MAX_GEOMS = 500
_PACKAGES = "on Debian or Ubuntu: apt-get install libegl1 libgl1-mesa-dri"


class OffscreenRenderer:
    """Renders from the model's cameras in any size. To be used from one thread, the one that renders first.

    Raises:
        SimulationError: neither EGL nor OSMesa works here; the message names the packages to install.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._scene = mujoco.MjvScene(model, maxgeom=_MAX_GEOMS)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._option = mujoco.MjvOption()
        self._size = (0, 0)
        self._gl: Any = None
        self._context: mujoco.MjrContext | None = None

    def render(self, data: mujoco.MjData, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """An image (height, width, 3), RGB, of the camera with this name in the model."""
        context = self._context_for(width, height)
        view = mujoco.MjvCamera()
        view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        view.fixedcamid = self._model.camera(camera).id
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, data, self._option, None, view, everything, self._scene)
        rectangle = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(rectangle, self._scene, context)
        image = np.empty((height, width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(image, None, rectangle, context)
        return np.ascontiguousarray(image[::-1])  # OpenGL counts rows from below

    def close(self) -> None:
        """Frees what it holds of OpenGL."""
        if self._context is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
        self._gl = self._context = None

    def _context_for(self, width: int, height: int) -> mujoco.MjrContext:
        if self._context is None:
            self._gl = _gl_context(width, height)
            self._gl.make_current()
            self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        else:
            self._gl.make_current()  # another renderer of this process may have been at work
        if width > self._size[0] or height > self._size[1]:
            self._size = max(width, self._size[0]), max(height, self._size[1])
            mujoco.mjr_resizeOffscreen(*self._size, self._context)
        return self._context


def _gl_context(width: int, height: int) -> Any:
    backend = os.environ.get("MUJOCO_GL", "").lower() or _installed_backend()
    try:
        context = importlib.import_module(f"mujoco.{backend}").GLContext(width, height)
    except Exception as error:  # each backend fails in ways of its own, from ImportError to attributes of None
        raise SimulationError(f"cannot render with MUJOCO_GL={backend} ({error}); {_PACKAGES}") from error
    return context


def _installed_backend() -> str:
    for backend, library in _LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        return backend
    raise SimulationError(f"cannot render: expected {' or '.join(_LIBRARIES.values())}, found neither; {_PACKAGES}")
