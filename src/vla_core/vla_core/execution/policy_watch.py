"""What keeps a policy that runs from inferring."""

from __future__ import annotations

from vla_core.execution.faults import Fault, FaultName


class PolicyWatch:
    """Reads a policy's statuses. One that runs and has something to say cannot infer: it sees nothing, or its machine is lost."""

    def __init__(self) -> None:
        self._stale_observations = 0

    def hindrance(self, running: bool, message: str, stale_observations: int) -> Fault | None:
        """Takes a status; returns what keeps the policy from inferring, if anything does.

        Args:
            running: whether a run is on.
            message: the policy's sentence for the operator, empty if all is well.
            stale_observations: how often it has refused to infer for want of an observation, since the run began.
        """
        stale = stale_observations > self._stale_observations
        self._stale_observations = stale_observations
        if not running or not message:
            return None
        return Fault(FaultName.OBSERVATION_STALE if stale else FaultName.PEER_LOST, message)
