"""How large things are."""

from __future__ import annotations

from vla_core.embodiment import Embodiment

_NUMBERS = 10_000  # [B]
_DEPTH_BYTES = {"16UC1": 2, "32FC1": 4}


def step_bytes(embodiment: Embodiment) -> int:
    """Memory that the images of a step take at most [B], and its numbers about."""
    colour = sum(3 * camera.width * camera.height for camera in embodiment.cameras.values())
    depth = sum(
        _DEPTH_BYTES[camera.encoding] * camera.width * camera.height for camera in embodiment.depth_cameras.values()
    )
    return colour + depth + _NUMBERS


def size_text(size_bytes: float) -> str:
    """``3.2 GB``, ``870 MB``."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
