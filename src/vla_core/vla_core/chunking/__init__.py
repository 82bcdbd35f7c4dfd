"""Which action is meant when: chunks as curves over absolute time, and the strategies that combine them."""

from vla_core.chunking.curve import ChunkCurve, Reference
from vla_core.chunking.receding_horizon import RecedingHorizon
from vla_core.chunking.temporal_ensembling import TemporalEnsembling

__all__ = ["ChunkCurve", "RecedingHorizon", "Reference", "TemporalEnsembling"]
