"""Closed loop: a policy on the simulated robot, in lockstep, over many worlds, through the real nodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vla_msgs.msg import CommandStatus, PolicyStatus, SimStatus

from vla.evaluation import EpisodeResult, Evaluation, Latency
from vla.ros.operator import Operator
from vla_core.errors import VlaError
from vla_core.motion.measure import CommandQuality
from vla_ros.time import to_ns

SETTLE_S = 0.3  # streams arrive, the arm stands
ARMED_S = 0.1  # the gripper's target is announced, so that a recorder can begin
STOP_S = 0.5  # the arm comes to rest after it was disarmed
_STATUS_NS = 100_000_000  # from one status of command_node to the next


class EpisodeFailed(VlaError):
    """An episode could not be run: a fault, as opposed to a task that was not done."""


@dataclass(frozen=True)
class Hooks:
    """What is done around the run of a policy: began just before, ended (with its success) just after."""

    began: Callable[[], None]
    ended: Callable[[bool], None]


def run_episode(
    operator: Operator, seed: int, prompt: str, limit_s: float, hooks: Hooks | None = None
) -> EpisodeResult:
    """Runs one episode of the loaded policy.

    Args:
        operator: of a graph in lockstep, paused.
        seed: of the world.
        prompt: language instruction.
        limit_s: simulated time after which the episode has failed [s].
        hooks: is called around the policy's run; None: nothing is.

    Raises:
        EpisodeFailed: a node refused or stopped; the message says why.
    """
    operator.reset_world(seed)
    operator.run_simulation(SETTLE_S)
    operator.arm()
    operator.run_simulation(ARMED_S)
    goal = operator.start_policy(prompt)
    if hooks is not None:
        hooks.began()
    run = operator.run_simulation(limit_s, until_success=True)
    running = _last_status(operator, SETTLE_S + ARMED_S + run.duration_s)
    fault = running.message if running.state == CommandStatus.FAULT else ""
    if hooks is not None:
        hooks.ended(run.success)
    operator.end_policy(goal)
    operator.disarm("the episode is over")
    operator.run_simulation(STOP_S)
    command = operator.wait_for_command(lambda status: status.state == CommandStatus.READY, "command_node to disarm")
    policy = operator.wait_for_policy(lambda status: status.state != PolicyStatus.RUNNING, "the policy's run to end")
    whole_s = SETTLE_S + ARMED_S + run.duration_s + STOP_S
    sim = operator.wait_for_sim(lambda status: status.duration_s > whole_s - 1e-6, "the simulator's last status")
    if policy.state == PolicyStatus.FAULT:
        raise EpisodeFailed(f"world {seed}: the policy stopped: {policy.message}")
    return EpisodeResult(
        seed=seed,
        success=run.success,
        duration_s=run.duration_s,
        message=fault,
        chunks=policy.chunks,
        chunks_refused=command.chunks_refused,
        chunks_discarded=policy.chunks_discarded + command.chunks_discarded,
        chunks_late=command.chunks_late,
        ticks_starved=command.ticks_starved,
        command_rate_hz=running.command_rate_hz,
        stale_observations=policy.stale_observations,
        quality=quality_of(sim),
    )


def _last_status(operator: Operator, since_reset_s: float) -> CommandStatus:
    """The command_node's periodic status before simulated time stood still; one that is on its way is waited for."""
    sim = operator.wait_for_sim(lambda status: status.duration_s > since_reset_s - 1e-6, "the simulator's last status")
    earliest_ns = to_ns(sim.header.stamp) - _STATUS_NS
    return operator.wait_for_command(
        lambda status: to_ns(status.header.stamp) > earliest_ns, "the command_node's last status"
    )


def evaluate(
    operator: Operator,
    seeds: Iterable[int],
    prompt: str,
    limit_s: float,
    on_episode: Callable[[EpisodeResult], None] = lambda _: None,
    hooks: Hooks | None = None,
) -> Evaluation:
    """Runs an episode in each world. ``on_episode`` is told of each as it ends."""
    began = time.monotonic()
    episodes = []
    for seed in seeds:
        episodes.append(run_episode(operator, seed, prompt, limit_s, hooks))
        on_episode(episodes[-1])
    policy = operator.policy
    latency = Latency(policy.latency_p50_ms, policy.latency_p95_ms, policy.latency_p99_ms)
    return Evaluation(tuple(episodes), latency, time.monotonic() - began)


def quality_of(status: SimStatus) -> CommandQuality:
    """What the simulator measured since the last reset."""
    return CommandQuality(
        samples=status.commanded_cycles,
        position=status.position_violations,
        velocity=status.velocity_violations,
        acceleration=status.acceleration_violations,
        jerk=status.jerk_violations,
        rms_jerk=status.rms_jerk,
        velocity_use=status.velocity_use,
        acceleration_use=status.acceleration_use,
        jerk_use=status.jerk_use,
    )
