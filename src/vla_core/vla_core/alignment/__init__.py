"""Asynchronous streams to steps: one code for recording, rollout and bags."""

from vla_core.alignment.aligner import Aligner
from vla_core.alignment.frozen import FrozenWatch
from vla_core.alignment.monitor import StreamMonitor, StreamStatus
from vla_core.alignment.stamps import stamp_of
from vla_core.alignment.stream_buffer import StreamBuffer

__all__ = ["Aligner", "FrozenWatch", "StreamBuffer", "StreamMonitor", "StreamStatus", "stamp_of"]
