"""What a server of ours says of itself when somebody connects, and what that means for a robot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vla_core import config
from vla_core.action_prefix import ActionPrefix
from vla_core.embodiment import Embodiment
from vla_core.embodiment.compatibility import require_compatible
from vla_core.errors import ConfigError, PeerError
from vla_core.ports import Policy
from vla_policy_node.remote.mapping import ActionOutput, RemoteMapping, StateInput

KEY = "vla"  # in the metadata, which openpi leaves to the server
IMAGES, STATE, PROMPT, ACTIONS = "images/", "state/", "prompt", "actions"
STAMP, RESET, PREFIX, START = "stamp_ns", "reset", "prefix", "start_ns"
TIMING = "server_timing"
PREFIX_KEYS = ("actions", "start_ns", "step_ns", "delay", "execution_horizon", "decay")


@dataclass(frozen=True)
class ServedPolicy:
    """A policy and the robot that it was trained with.

    A request has ``images/ROLE`` (H, W, 3) uint8, ``state/GROUP`` (n,), ``prompt``, and may have ``stamp_ns``, ``reset`` and
    ``prefix``; the answer has ``actions`` (horizon, action_dim), ``start_ns`` and ``server_timing``.
    """

    schema: Literal["vla/remote/1"]
    policy_id: str
    action_names: tuple[str, ...]
    action_units: tuple[str, ...]
    step_ns: int
    real_time_chunking: Literal["guided", "prefix"] | None
    embodiment: Embodiment

    @classmethod
    def of(cls, policy: Policy, embodiment: Embodiment) -> ServedPolicy:
        return cls(
            schema="vla/remote/1",
            policy_id=policy.policy_id,
            action_names=embodiment.action_names,
            action_units=embodiment.action_units,
            step_ns=embodiment.step_ns,
            real_time_chunking=policy.real_time_chunking,
            embodiment=embodiment,
        )

    @classmethod
    def read(cls, metadata: Mapping[str, Any], where: str) -> ServedPolicy:
        """Reads what a server said. Raises PeerError."""
        try:
            return config.from_mapping(cls, metadata[KEY], f"{where}: what it says of itself")
        except ConfigError as error:
            raise PeerError(str(error)) from error

    def require_fitting(self, embodiment: Embodiment, where: str) -> None:
        """Raises EmbodimentMismatch if the policy was made for another robot."""
        require_compatible(self.embodiment, embodiment, f"{where}: {self.policy_id}")

    def mapping(self) -> RemoteMapping:
        """What its names mean: they are ours."""
        return RemoteMapping(
            schema="vla/remote/1",
            rate_hz=1e9 / self.step_ns,
            actions=(ActionOutput(self.action_names, ACTIONS),),
            images={IMAGES + role: role for role in self.embodiment.cameras},
            states={STATE + group: StateInput(group, dtype="float64") for group in self.embodiment.proprioception},
            prompt=PROMPT,
        )


def prefix_sent(prefix: ActionPrefix) -> dict[str, Any]:
    """What a chunk is to go on from, as it is sent."""
    chunk = prefix.chunk
    values = (chunk.actions, chunk.start_ns, chunk.step_ns, prefix.delay, prefix.execution_horizon, prefix.decay)
    return dict(zip(PREFIX_KEYS, values, strict=True))
