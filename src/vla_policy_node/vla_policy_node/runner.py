"""What a policy_node decides: when to infer, from what, and what to tell about it. No ROS, no torch."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from vla_core.action_chunk import ActionChunk, Stations
from vla_core.action_prefix import ActionPrefix
from vla_core.alignment.monitor import JUMP_NS
from vla_core.chunking import ChunkRequests
from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError
from vla_core.observation import Observation, Step
from vla_core.ports import Policy
from vla_core.steps import observation_from

_MS = 1_000_000
_FUTURE_NS = 50 * _MS  # clocks of two machines may differ by this much
_LATENCIES_KEPT = 10_000


class RunnerState(Enum):
    UNLOADED = 0
    READY = 1
    RUNNING = 2
    FAULT = 3


@dataclass(frozen=True)
class Latency:
    """Inference latency since the policy was loaded [ms]; NaN before the first chunk."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, eq=False)
class Inference:
    """What is to be inferred: the actions that follow an observation, and go on from a prefix if there is one.

    ``received_ns`` is when the last message of the observation came in [ns].
    """

    observation: Observation
    prefix: ActionPrefix | None
    received_ns: int


class PolicyRunner:
    """Lets a policy infer chunks while a run is on, when the strategy asks for them.

    Args:
        embodiment: declares what an observation holds and how old it may be.
        requests: the strategy, as far as it decides when a chunk is asked for and what it goes on from.
    """

    def __init__(self, embodiment: Embodiment, requests: ChunkRequests) -> None:
        self.state = RunnerState.UNLOADED
        self.message = ""
        self.prompt = ""
        self.chunks = 0
        self.stale_observations = 0
        self.latencies_ms: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        self._embodiment = embodiment
        self._requests = requests
        self._max_age_ns = round(embodiment.safety.max_observation_age_ms * _MS)
        self._policy: Policy | None = None
        self._busy = False
        self._lost = ""  # why the policy's machine could not be asked last time
        self._outdated = False  # what is being inferred was asked for in the run before
        self._other_clock = ""  # that the stamp of the last step was of another clock
        self._fresh_ns = 0  # since when the newest observation counts as fresh
        self._until_ns: int | None = None

    @property
    def policy_id(self) -> str:
        return self._policy.policy_id if self._policy else ""

    @property
    def until_ns(self) -> int | None:
        """When the run ends by itself [ns]; None without a limit."""
        return self._until_ns

    @property
    def chunks_discarded(self) -> int:
        """Chunks since the run began that came later than they were conditioned on."""
        return self._requests.discarded

    def require_fitting(self, policy: Policy) -> None:
        """Raises CheckpointError if the strategy needs what the policy cannot do."""
        if self._requests.continues and policy.real_time_chunking is None:
            raise CheckpointError(
                f"strategy real_time_chunking: expected a policy whose chunks can go on from the one that is executed, found "
                f"{policy.policy_id}, whose cannot"
            )

    def loaded(self, policy: Policy) -> None:
        """Takes a policy that is ready to infer."""
        self._policy = policy
        self.latencies_ms.clear()
        self._enter(RunnerState.READY, "")

    def start(self, prompt: str, now_ns: int, duration_s: float) -> str:
        """Begins a run; ``duration_s`` 0 is without end. Returns why not, or nothing."""
        if self._policy is None:
            return "expected a policy to be loaded, found none"
        if self.state is RunnerState.RUNNING:
            return "a run is on already; expected it to be cancelled first"
        self.prompt = prompt or self.prompt
        self.chunks = self.stale_observations = 0
        self._fresh_ns = now_ns
        self._outdated = self._busy
        self._lost = ""
        self._requests.reset()
        self._until_ns = now_ns + round(duration_s * 1e9) if duration_s > 0 else None
        self._policy.reset()
        self._enter(RunnerState.RUNNING, "")
        return ""

    def stop(self) -> None:
        """Ends a run."""
        if self.state is RunnerState.RUNNING:
            self._enter(RunnerState.READY, "")

    def tick(self, steps: list[Step], now_ns: int, problems: Callable[[], str] = lambda: "") -> Inference | None:
        """Takes the steps that were decided since the last call; returns what to infer if it is time to.

        ``problems`` is asked what is wrong with the streams, for the operator, when observations are missing.
        """
        if self.state is not RunnerState.RUNNING:
            return None
        if self._until_ns is not None and now_ns >= self._until_ns:
            self.stop()
            return None
        if steps:
            self._other_clock = _of_another_clock(steps[-1], now_ns)
        timely = [step for step in steps if step.stamp_ns - now_ns <= _FUTURE_NS]
        complete = [step for step in timely if len(step.samples) == self._streams_expected]
        if complete:
            self._fresh_ns = complete[-1].stamp_ns
        if now_ns - self._fresh_ns > self._max_age_ns:
            if not self.message:
                self._requests.interrupted()
                self._outdated = self._busy
            self._stale(steps, now_ns, self._other_clock or problems())
            return None
        if complete:
            self.message = self._lost  # well again, if it was stale
        if not complete or self._busy or not self._requests.due(complete[-1].stamp_ns):
            return None
        self._busy = True
        prefix = self._requests.asked(complete[-1].stamp_ns)
        received_ns = max(sample.receive_ns for sample in complete[-1].samples.values())
        return Inference(observation_from(complete[-1], self._embodiment, self.prompt), prefix, received_ns)

    def infer(self, inference: Inference, now_ns: int = 0) -> ActionChunk:
        """Infers a chunk and measures how long that took. May run beside the loop; raises what the policy raises.

        Args:
            inference: what.
            now_ns: the time, on the clock of the header stamps [ns]; 0 if it is not known.
        """
        if self._policy is None:
            raise RuntimeError("no policy is loaded")
        began_ns = time.monotonic_ns()
        chunk = self._policy.infer(inference.observation, inference.prefix)
        latency_ns = time.monotonic_ns() - began_ns
        stations = Stations(observation_received_ns=inference.received_ns, inference_started_ns=now_ns)
        return dataclasses.replace(chunk, stations=stations).inferred_within(latency_ns)

    def measured(self, chunk: ActionChunk) -> None:
        """Takes note of how long :meth:`infer` took."""
        self.latencies_ms.append(chunk.inference_latency_ns / _MS)

    def inferred(self, chunk: ActionChunk, now_ns: int) -> ActionChunk | None:
        """Takes the result of :meth:`infer` when it is there; returns what is to be published, if anything."""
        outdated, self._outdated, self._busy = self._outdated, False, False
        if outdated or self.state is not RunnerState.RUNNING:
            return None
        if self._lost:
            self._lost = self.message = ""
        published = self._requests.answered(chunk.published_at(now_ns), now_ns)
        self.chunks += published is not None
        return published

    def lost(self, reason: str) -> bool:
        """Takes note that the policy's machine did not answer: the run goes on, and it is asked again with the next observation.

        Returns whether that is news.
        """
        outdated, self._outdated, self._busy = self._outdated, False, False
        if outdated or self.state is not RunnerState.RUNNING:
            return False
        self._requests.interrupted()
        news, self._lost = not self._lost, reason
        self.message = reason
        return news

    def failed(self, reason: str) -> None:
        """Takes note that inferring failed: the run ends, latched."""
        self._outdated = self._busy = False
        self._enter(RunnerState.FAULT, reason)

    def latency(self) -> Latency:
        if not self.latencies_ms:
            return Latency(float("nan"), float("nan"), float("nan"))
        return Latency(*(float(np.percentile(self.latencies_ms, share)) for share in (50, 95, 99)))

    @property
    def _streams_expected(self) -> int:
        return len(self._embodiment.cameras) + len(self._embodiment.observed_streams)

    def _stale(self, steps: list[Step], now_ns: int, why: str) -> None:
        """Counts a refusal for every step that could not be used, or for every step time without any."""
        self.stale_observations += max(1, len(steps))
        self._fresh_ns = now_ns - self._max_age_ns + self._embodiment.step_ns
        self.message = f"no complete observation for more than {self._max_age_ns / _MS:.0f} ms: nothing is inferred"
        if why:
            self.message += f" ({why})"

    def _enter(self, state: RunnerState, message: str) -> None:
        self.state = state
        self.message = message


def _of_another_clock(step: Step, now_ns: int) -> str:
    """That the stamp of a step is of a clock which differs from ours; empty if it is not."""
    ahead_ns = step.stamp_ns - now_ns
    if abs(ahead_ns) < JUMP_NS:
        return ""
    side = "ahead of" if ahead_ns > 0 else "behind"
    return f"observations are stamped {abs(ahead_ns) * 1e-9:.1f} s {side} this computer's clock; expected clocks that agree"
