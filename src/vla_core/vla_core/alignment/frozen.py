"""A camera that goes on sending the same image."""

from __future__ import annotations

import numpy as np

from vla_core.errors import StreamError

_MS = 1_000_000
_SAMPLE = 4096  # bytes that are compared first: the noise of a true camera shows in any of them


class FrozenWatch:
    """Refuses the images of a camera that repeats one with new stamps.

    The noise of a true camera never repeats, so equal bytes are a driver or a cable that hangs. A rendered image may
    truly repeat.

    Args:
        name: of the camera, for the error.
        topic: its images come on.
        after_ms: how long, by the stamps, an image may be the same [ms]; 0: always.
    """

    def __init__(self, name: str, topic: str, after_ms: float) -> None:
        self._name, self._topic = name, topic
        self._after_ns = round(after_ms * _MS)
        self._last: np.ndarray | None = None
        self._since_ns = 0  # stamp of the first one of equal images

    def require_new(self, stamp_ns: int, image: bytes | memoryview) -> None:
        """Takes an image's bytes, without its stamp.

        Raises:
            StreamError: it has been the same for too long.
        """
        if not self._after_ns:
            return
        content = np.frombuffer(image, np.uint8)
        if self._last is None or not _equal(content, self._last) or stamp_ns < self._since_ns:
            self._last, self._since_ns = content, stamp_ns
            return
        if (same_ns := stamp_ns - self._since_ns) > self._after_ns:
            raise StreamError(
                f"camera '{self._name}' on {self._topic}: the same image for {same_ns / _MS:.0f} ms with new stamps, "
                "expected images that differ"
            )


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return (
        one.size == other.size
        and np.array_equal(one[:_SAMPLE], other[:_SAMPLE])
        and np.array_equal(one[_SAMPLE:], other[_SAMPLE:])
    )
