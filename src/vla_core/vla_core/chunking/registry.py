"""The strategies by their names: what each is at the robot, and at the policy."""

from __future__ import annotations

from vla_core.chunking.continued import Continued
from vla_core.chunking.fixed_blend import SHARES, FixedBlend
from vla_core.chunking.real_time_chunking import RealTimeChunking
from vla_core.chunking.receding_horizon import RecedingHorizon
from vla_core.chunking.requests import ChunkRequests, EveryHorizon, WaitedFor
from vla_core.chunking.synchronous import Synchronous
from vla_core.chunking.temporal_ensembling import TemporalEnsembling
from vla_core.embodiment import Embodiment
from vla_core.ports import ChunkScheduler
from vla_core.strategies import DEFAULT_DECAY, Decay, Strategy


def scheduler_for(strategy: Strategy, roughness: float, ensembling_coefficient: float) -> ChunkScheduler:
    """What answers, at the robot, which action is meant when.

    Args:
        strategy: its name.
        roughness: see :class:`vla_core.chunking.ChunkCurve`.
        ensembling_coefficient: see :class:`TemporalEnsembling`.
    """
    if strategy in SHARES:
        return FixedBlend(SHARES[strategy], roughness)
    if strategy == "temporal_ensembling":
        return TemporalEnsembling(ensembling_coefficient, roughness)
    if strategy == "synchronous":
        return Synchronous(roughness)
    if strategy == "real_time_chunking":
        return RealTimeChunking(roughness)
    return RecedingHorizon(roughness)


def requests_for(
    strategy: Strategy, execution_horizon: int, embodiment: Embodiment, decay: Decay = DEFAULT_DECAY
) -> ChunkRequests:
    """What decides, at the policy, when a chunk is asked for.

    Args:
        strategy: its name.
        execution_horizon: steps from one inference to the next.
        embodiment: has the length of a step, and how far ahead its motion is settled.
        decay: of the hold on the executed chunk, in real-time chunking.
    """
    if strategy == "synchronous":
        return WaitedFor(execution_horizon)
    if strategy == "real_time_chunking":
        return Continued(execution_horizon, embodiment.step_ns, round(embodiment.motion.lead_ms * 1e6), decay)
    return EveryHorizon(execution_horizon, embodiment.step_ns)
