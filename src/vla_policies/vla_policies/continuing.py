"""Real-time chunking on the robot: from what is being executed to what a network is told of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vla_core.action_chunk import validate_chunk
from vla_core.action_prefix import ActionPrefix
from vla_core.errors import choice
from vla_policies.batch import ContinuingNetwork, PolicyNetwork
from vla_policies.errors import CannotContinue
from vla_policies.families import FAMILIES, families_of
from vla_policies.heads.real_time_chunking import Guidance


def require_continuing(network: PolicyNetwork, policy_id: str) -> ContinuingNetwork:
    """The network, if its chunks can go on from the executed one; else raises CannotContinue with the families that can."""
    if isinstance(network, ContinuingNetwork):
        return network
    able = choice(name for name, family in FAMILIES.items() if family.continues)
    raise CannotContinue(
        f"{policy_id}: prefix: expected a family whose chunks can go on from the one that is being executed, {able}; "
        f"found {choice(families_of(network)) if families_of(network) else type(network).__name__}"
    )


def previous_and_guidance(
    prefix: ActionPrefix, names: tuple[str, ...], start_ns: int, step_ns: int, horizon: int
) -> tuple[NDArray[np.float64], Guidance]:
    """What of the executed chunk is meant at the steps of the new one, and how strongly that is held to.

    Args:
        prefix: what is being executed.
        names: of the actions, as the policy has them.
        start_ns: when the first action of the new chunk is meant [ns].
        step_ns: from one to the next [ns].
        horizon: K, how many there are.

    Returns:
        Actions (K, A) in their units, and the guidance. Behind the end of the executed chunk its last action stands, of which
        nothing is held.

    Raises:
        ChunkError: it is of other actions, not finite, or does not reach far enough.
    """
    validate_chunk(prefix.chunk, names)
    known = prefix.resampled(start_ns, step_ns, horizon)
    missing = horizon - len(known)
    last = known[-1:] if len(known) else prefix.chunk.actions[-1:]
    actions = np.concatenate([known, last.repeat(missing, axis=0)])
    return actions, Guidance(prefix.delay, max(prefix.execution_horizon, missing), prefix.decay)
