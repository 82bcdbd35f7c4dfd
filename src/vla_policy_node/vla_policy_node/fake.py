"""Stand-ins for what a policy node talks to: shipped, because tests and shadow runs need them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.embodiment import Embodiment
from vla_core.observation import Observation
from vla_policy_node.fake_waves import Wave

FAKE = "fake"  # given instead of a checkpoint folder


class FakePolicy:
    """A policy that goes to and fro around where the robot was when it was first asked, in its own action space.

    Args:
        embodiment: of the robot.
        amplitude: of the wave [rad]; its frequency is a quarter of a hertz.
        action_horizon: actions in a chunk.
    """

    policy_id = "fake/sine"
    real_time_chunking: Literal["guided", "prefix"] | None = "prefix"

    def __init__(self, embodiment: Embodiment, amplitude: float = 0.1, action_horizon: int = 30) -> None:
        self._embodiment = embodiment
        self._amplitude = amplitude
        self._horizon = action_horizon
        self._sequence = 0
        self._wave: Wave | None = None
        self._began_ns = 0

    def warm_up(self) -> float:
        """Nothing to get ready: 0 s."""
        return 0.0

    def infer(self, observation: Observation, prefix: ActionPrefix | None = None) -> ActionChunk:
        """The next second of the wave, which goes on from any chunk before it by itself."""
        if self._wave is None:
            self._wave = Wave(self._embodiment, self._amplitude, observation.proprioception["qpos"])
            self._began_ns = observation.stamp_ns
        times = (observation.stamp_ns - self._began_ns + self._embodiment.step_ns * np.arange(self._horizon)) * 1e-9
        actions = self._wave.actions(np.asarray(times, dtype=np.float64))
        self._sequence += 1
        return ActionChunk(
            actions,
            self._embodiment.action_names,
            observation.stamp_ns,
            self._embodiment.step_ns,
            observation.stamp_ns,
            self.policy_id,
            self._sequence - 1,
        )

    def reset(self) -> None:
        self._wave = None
