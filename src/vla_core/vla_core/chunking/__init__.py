"""Which action is meant when: chunks as curves over absolute time, and the strategies that ask for and combine them."""

from vla_core.chunking.continued import Continued
from vla_core.chunking.curve import ChunkCurve, Reference
from vla_core.chunking.fixed_blend import FixedBlend
from vla_core.chunking.real_time_chunking import RealTimeChunking
from vla_core.chunking.receding_horizon import RecedingHorizon
from vla_core.chunking.registry import requests_for, scheduler_for
from vla_core.chunking.requests import ChunkRequests, EveryHorizon, WaitedFor
from vla_core.chunking.synchronous import Synchronous
from vla_core.chunking.temporal_ensembling import TemporalEnsembling

__all__ = [
    "ChunkCurve",
    "ChunkRequests",
    "Continued",
    "EveryHorizon",
    "FixedBlend",
    "RealTimeChunking",
    "RecedingHorizon",
    "Reference",
    "Synchronous",
    "TemporalEnsembling",
    "WaitedFor",
    "requests_for",
    "scheduler_for",
]
