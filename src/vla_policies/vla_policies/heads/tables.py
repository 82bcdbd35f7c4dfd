"""Constants that a network computes with and that are not learned."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class Tables(nn.Module):
    """Tensors by name that go to the device where the network goes, but are never cast: 16 bits would blur them.

    They are in no checkpoint. Whoever gives them makes them on the processor by name (``device="cpu"``), so that a network that
    is built without its weights (torch's device ``meta``) has true ones.
    """

    def __init__(self, **tables: Tensor) -> None:
        super().__init__()
        for name, values in tables.items():
            self.register_buffer(name, values, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Tables:
        before = dict(self._buffers)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, moved in self._buffers.items():
            kept = before[name]
            if kept is not None and moved is not None and moved.dtype != kept.dtype:
                self._buffers[name] = kept.to(moved.device)
        return self
