"""How long a policy takes for a chunk, in a process of its own, whose memory nothing else has grown."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from bench.support.device import PeakMemory
from bench.support.policy_cases import PolicyCase, Precision
from bench.support.policy_networks import fill, mixed, predict, random_inputs, skeleton
from vla_policies.batch import ContinuingNetwork, NetworkInputs
from vla_policies.heads.real_time_chunking import Guidance

_WARM_UP = 3
_FEWEST_PAIRS = 5


@dataclass(frozen=True)
class Latency:
    """Of chunks.

    Attributes:
        p50, p95, p99: percentiles [s].
        peak_bytes: memory that weights and inference took together, at most.
        guided_p50: of chunks that are guided to go on from the one before (real-time chunking) [s]; None where chunks cannot be.
        guided_ratio: guided by not guided, the median of what was measured in turns.
    """

    p50: float
    p95: float
    p99: float
    peak_bytes: int
    guided_p50: float | None = None
    guided_ratio: float | None = None


def measure_latency(case: PolicyCase, precision: Precision, device: str, rounds: int) -> Latency:
    """Measures in a new process: batch 1, all sampling steps, from normalised inputs on the device to the chunk on the host."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(latency_here, case, precision, device, rounds).result()


def latency_here(case: PolicyCase, precision: Precision, device: str, rounds: int) -> Latency:
    """The same in this process."""
    where = torch.device(device)
    with skeleton(case, precision) as network:
        memory = PeakMemory(where)  # what torch itself has loaded up to here is not the network's
        fill(network, where)
        inputs = random_inputs(case, where)
        with torch.inference_mode():
            times = [_timed(case, lambda: predict(network, inputs)) for _ in range(_WARM_UP + rounds)][_WARM_UP:]
        p50, p95, p99 = (float(value) for value in np.percentile(times, (50, 95, 99)))
        found = Latency(p50, p95, p99, memory.bytes())
        if not isinstance(network, ContinuingNetwork) or network.real_time_chunking != "guided":
            return found
        pairs = _in_turns(case, network, inputs, max(_FEWEST_PAIRS, rounds // 5))
    ratio = float(np.median([guided / plain for plain, guided in pairs]))
    return replace(found, guided_p50=float(np.median([guided for _, guided in pairs])), guided_ratio=ratio)


def _in_turns(
    case: PolicyCase, network: ContinuingNetwork, inputs: NetworkInputs, rounds: int
) -> list[tuple[float, float]]:
    """Times of a chunk and of one that is guided to go on from another, one right after the other [s]."""
    horizon, size = case.shape.action_horizon, case.shape.action_dim
    previous = torch.zeros(1, horizon, size, device=inputs.state.device, dtype=inputs.state.dtype)
    guidance = Guidance(delay=horizon // 8, execution_horizon=horizon // 2)
    found = []
    with torch.inference_mode():
        for _ in range(_WARM_UP + rounds):
            plain = _timed(case, lambda: predict(network, inputs))
            guided = _timed(
                case, lambda: mixed(network, lambda: network.predict_continuing(inputs, previous, guidance))
            )
            found.append((plain, guided))
    return found[_WARM_UP:]


def _timed(case: PolicyCase, make: Callable[[], Tensor]) -> float:
    """How long a chunk takes up to the host's memory [s]."""
    begin = time.perf_counter()
    chunk = make().float().cpu()
    took = time.perf_counter() - begin
    expected = (1, case.shape.action_horizon, case.shape.action_dim)
    if chunk.shape != expected or not chunk.isfinite().all():
        raise SystemExit(f"{case.name}: expected a finite chunk {expected}, found {tuple(chunk.shape)}: {chunk}")
    return took
