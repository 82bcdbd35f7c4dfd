"""How long a policy takes for a chunk, in a process of its own, whose memory nothing else has grown."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from bench.support.device import PeakMemory
from bench.support.policy_cases import PolicyCase, Precision
from bench.support.policy_networks import fill, predict, random_inputs, skeleton

_WARM_UP = 3


@dataclass(frozen=True)
class Latency:
    """Of chunks.

    Attributes:
        p50, p95, p99: percentiles [s].
        peak_bytes: memory that weights and inference took together, at most.
    """

    p50: float
    p95: float
    p99: float
    peak_bytes: int


def measure_latency(case: PolicyCase, precision: Precision, device: str, rounds: int) -> Latency:
    """Measures in a new process: batch 1, all sampling steps, from normalised inputs on the device to the chunk on the host."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(latency_here, case, precision, device, rounds).result()


def latency_here(case: PolicyCase, precision: Precision, device: str, rounds: int) -> Latency:
    """The same in this process."""
    where = torch.device(device)
    times = []
    with skeleton(case, precision) as network, torch.inference_mode():
        memory = PeakMemory(where)  # what torch itself has loaded up to here is not the network's
        fill(network, where)
        inputs = random_inputs(case, where)
        for number in range(_WARM_UP + rounds):
            begin = time.perf_counter()
            chunk = predict(network, inputs).float().cpu()
            if number >= _WARM_UP:
                times.append(time.perf_counter() - begin)
    expected = (1, case.shape.action_horizon, case.shape.action_dim)
    if chunk.shape != expected or not chunk.isfinite().all():
        raise SystemExit(f"{case.name}: expected a finite chunk {expected}, found {tuple(chunk.shape)}: {chunk}")
    p50, p95, p99 = (float(value) for value in np.percentile(times, (50, 95, 99)))
    return Latency(p50, p95, p99, memory.bytes())
