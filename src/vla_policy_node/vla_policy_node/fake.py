"""Stand-ins for what a policy node talks to: shipped, because tests and shadow runs need them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.embodiment import Embodiment
from vla_core.observation import Observation

FAKE = "fake"  # given instead of a checkpoint folder


class FakePolicy:
    """A policy that waves one joint around where the arm was when it was first asked, with a settable latency.

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
        self._origin: tuple[int, np.ndarray] | None = None

    def warm_up(self) -> float:
        """Nothing to get ready: 0 s."""
        return 0.0

    def infer(self, observation: Observation, prefix: ActionPrefix | None = None) -> ActionChunk:
        """The next second of the wave, which goes on from any chunk before it by itself."""
        joints = len(self._embodiment.joints)
        if self._origin is None:
            self._origin = (observation.stamp_ns, observation.proprioception["qpos"][:joints].copy())
        began_ns, center = self._origin
        times = (observation.stamp_ns - began_ns + self._embodiment.step_ns * np.arange(self._horizon)) * 1e-9
        actions = np.zeros((self._horizon, len(self._embodiment.action_names)))
        actions[:, :joints] = center
        actions[:, 0] += self._amplitude * np.sin(2 * np.pi * 0.25 * times)
        if self._embodiment.gripper:
            actions[:, joints] = self._embodiment.gripper.open
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
        self._origin = None
