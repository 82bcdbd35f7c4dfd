"""Rounds in which a command_node keeps time: in turns with nothing going on, and with inference, images and recording."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench.support.chunk_source import COMMANDS
from bench.support.processes import Child
from bench.support.robot import Robot, write_embodiment
from vla.environment import child_environment, reserved_domain_id
from vla.graph import Bringup, Process, bringup_graph
from vla.paths import checkout, named_config
from vla.supervisor import Supervisor, ros_arguments
from vla_ros import names

_READY_S = 180.0
_PATIENCE_MS = 5000.0
_SETTLE_S = 3.0  # after something has been started or stopped
_SERVED = 0.5  # share of the ticks that a round must have at least
_JOINT_STATE_HZ = 250.0  # of the mock robot, which shall not be what keeps the processor busy
_EXECUTION_HORIZON = 4  # steps from one inference to the next
_CHUNK_PERIOD_S = 0.5  # of the chunks that are executed: 25 steps of 50 Hz, as in the paper on real-time chunking
_PRIORITY = 41  # that of the process that tells the controller where to be
_STEAL = 7  # of /proc/stat
_MOST_STOLEN = 0.01  # of the time: what is left of a 99th percentile if the processor was away for more?
_MORE_PAIRS = 3  # at most, in place of pairs of which the host took more
_NOBODY = "bench/inferred"  # where the policy's own chunks go


@dataclass
class Round:
    """What was measured while time passed.

    Attributes:
        begin_ns, end_ns: from when to when that was, on the monotonic clock [ns].
        stolen: share of the processors' time that the host of a virtual machine took.
        missed: deadlines at which no tick was served, or whose plan was too late.
        late_us: (ticks,) how late commands were sent [us].
        bare_us: the same of a loop beside it that does nothing.
    """

    begin_ns: int
    end_ns: int
    stolen: float
    missed: int
    late_us: np.ndarray = field(default_factory=lambda: np.empty(0))
    bare_us: np.ndarray = field(default_factory=lambda: np.empty(0))


@dataclass
class Rounds:
    """How late commands were sent, in rounds that were idle and loaded in turns.

    Attributes:
        rate_hz: of the control ticks.
        pairs: of an idle and a loaded round.
        repeated: pairs that do not count, because the host took too much of the time.
        scheduling: how the system schedules the loop.
        executed: chunks that were executed in all rounds; chunks: inferred in the loaded rounds.
        recorded: episodes.
    """

    rate_hz: float
    pairs: list[tuple[Round, Round]] = field(default_factory=list)
    repeated: int = 0
    scheduling: str = ""
    chunks: int = 0
    recorded: int = 0
    executed: int = 0

    def figures(self) -> dict[str, Any]:
        """The ratio of 99th percentiles, the median over the pairs of rounds, and what it was made from."""
        name = "1khz" if self.rate_hz == 1000 else f"{self.rate_hz:g}hz"
        kinds = dict(zip(("idle", "loaded"), zip(*self.pairs, strict=True), strict=True))
        late = {kind: np.concatenate([each.late_us for each in found]) for kind, found in kinds.items()}
        return {
            f"p99_ratio_{name}": round(statistics.median(_p99(b) / _p99(a) for a, b in self.pairs), 3),
            f"p99_each_us_{name}": [(round(_p99(a), 1), round(_p99(b), 1)) for a, b in self.pairs],
            f"p99_bare_loop_each_us_{name}": [
                tuple(round(_p(each.bare_us, 99), 1) for each in pair) for pair in self.pairs
            ],
            f"stolen_each_percent_{name}": [tuple(round(100 * each.stolen, 2) for each in pair) for pair in self.pairs],
            f"pairs_repeated_{name}": self.repeated,
            **{
                f"{kind}_p{share}_us_{name}": round(_p(found, share), 1)
                for kind, found in late.items()
                for share in (50, 99, 100)
            },
            **{f"missed_{kind}_{name}": sum(each.missed for each in found) for kind, found in kinds.items()},
            f"ticks_{name}": sum(map(len, late.values())),
            f"chunks_executed_{name}": self.executed,
            f"chunks_inferred_{name}": self.chunks,
            f"episodes_{name}": self.recorded,
            "scheduling": self.scheduling,
        }

    def keep_undisturbed(self, pairs: int) -> None:
        """Leaves out all but so many pairs: those of which the host took the least."""
        kept = sorted(range(len(self.pairs)), key=lambda number: _stolen(self.pairs[number]))[:pairs]
        self.repeated = len(self.pairs) - len(kept)
        self.pairs = [self.pairs[number] for number in sorted(kept)]


def rounds(folder: Path, rate_hz: float, pairs: int, window_s: float, policy: Path) -> Rounds:
    """Brings up a mock robot, a command_node that executes chunks and a policy_node, and measures rounds in turns."""
    log, bare_log, embodiment = folder / "lateness.npy", folder / "bare.npy", _embodiment(folder, rate_hz)
    arguments = Bringup(
        robot="mock",
        embodiment=str(embodiment),
        policy=str(policy),
        execution_horizon=_EXECUTION_HORIZON,
        joint_state_rate_hz=_JOINT_STATE_HZ,
    )
    graph = {process.name: process for process in bringup_graph(arguments).processes}
    policy_node = graph.pop("policy_node")
    graph["command_node"] = _timed(graph["command_node"], log)
    found = Rounds(rate_hz)
    with reserved_domain_id() as domain_id:
        environment = _environment(domain_id)
        os.environ.update(environment)
        from vla.ros.operator import Operator

        bare = ["bench.support.bare_loop", str(rate_hz), str(_PRIORITY), str(bare_log)]
        given = [policy_node.module, *ros_arguments(policy_node.parameters), "-r", f"{names.ACTION_CHUNK}:={_NOBODY}"]
        with (
            Supervisor(list(graph.values()), environment, folder / "logs") as supervisor,
            Operator(supervisor.check) as operator,
            Child(given, environment, folder / "policy.log"),
            Child(bare, environment, folder / "bare.log"),
        ):
            operator.wait_until(lambda: _policy_is_ready(operator), "a policy that is ready", _READY_S)
            operator.arm()
            operator.wait_until(lambda: len(operator.command.position) > 0, "where the arm is told to be", _READY_S)
            position = [str(value) for value in operator.command.position]
            chunks = ["bench.support.chunk_source", str(embodiment), str(_CHUNK_PERIOD_S), *position]
            with Child(chunks, environment, folder / "chunks.log") as source:
                source.wait_until_ready()
                while len(found.pairs) < pairs + _MORE_PAIRS and _undisturbed(found.pairs) < pairs:
                    idle = _round(operator, window_s)
                    with _load(operator, environment, folder, found):
                        found.pairs.append((idle, _round(operator, window_s)))
                found.scheduling = operator.command.scheduling
                found.executed = operator.command.chunks_accepted
                operator.disarm()
    late, bare_late = np.load(log), np.load(bare_log)
    for each in itertools.chain(*found.pairs):
        each.late_us, each.bare_us = _cut(late, each, rate_hz), _cut(bare_late, each, rate_hz)
    found.keep_undisturbed(pairs)
    return found


def one_process(folder: Path, rate_hz: float, window_s: float, policy: Path) -> np.ndarray:
    """How late the commands of a loop are that has its inference beside it in the same process [us]."""
    log = folder / "one_process.npy"
    with reserved_domain_id() as domain_id:
        environment = _environment(domain_id)
        given = ["bench.support.one_process", str(policy), str(rate_hz), str(log)]
        with (
            Child(["bench.support.listener"], environment, folder / "listener.log") as listener,
            Child(given, environment, folder / "one.log") as child,
        ):
            listener.wait_until_ready()
            child.wait_until_ready()
            time.sleep(window_s)
    return np.asarray(np.load(log)[:, 1] * 1e-3)


def _p(values: np.ndarray, percent: float) -> float:
    return float(np.percentile(values, percent))


def _p99(found: Round) -> float:
    return _p(found.late_us, 99)


def _embodiment(folder: Path, rate_hz: float) -> Path:
    """The simulated FR3, told where to be at every control tick.

    It is patient, and its commands go to the process that sends the chunks: the mock robot gets what processor time there is
    left, and would follow in jumps, which command_node takes for a fault.
    """
    path = folder / "robot.yaml"
    base = named_config("embodiments", "fr3_sim")
    patient = dict.fromkeys(
        ("max_observation_age_ms", "silence_ms", "joint_state_timeout_ms", "controller_timeout_ms"), _PATIENCE_MS
    )
    arm = {"name": "fr3_forward_controller", "kind": "forward_command", "topic": COMMANDS}
    changed = {"motion": {"control_rate_hz": rate_hz}, "safety": patient, "arm": arm}
    path.write_text(yaml.safe_dump({"extends": str(base), **changed}))
    return path


def _timed(process: Process, log: Path) -> Process:
    """The same command_node, but its ticks are written down."""
    parameters = {**process.parameters, "lateness_file": str(log)}
    return dataclasses.replace(process, package="bench.support", executable="timed_command_node", parameters=parameters)


def _environment(domain_id: int) -> dict[str, str]:
    environment = child_environment(domain_id=domain_id)
    path = [str(checkout()), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(path)}


@contextlib.contextmanager
def _load(operator: Any, environment: Mapping[str, str], folder: Path, found: Rounds) -> Iterator[None]:
    """Inference, three cameras of 640x480 at 30 Hz, and a recorder that keeps their images."""
    source = Child(["bench.support.source", str(time.time_ns())], environment, folder / "source.log")
    robot = write_embodiment(Robot(), folder / "recorded.yaml", "raw", native=True)
    parameters = {"embodiment": robot, "episodes": folder / "episodes", "robot": "real"}
    given = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
    recorder = Child(["vla_recorder.recorder_node", "--ros-args", *given], environment, folder / "recorder.log")
    with source, recorder:
        source.wait_until_ready()
        operator.wait_until(lambda: _recorder_began(operator), "a recorder that records", _READY_S)
        goal = operator.start_policy()
        yield
        said = operator.policy.message
        chunks = operator.end_policy(goal).chunks
        if not chunks:
            raise RuntimeError(
                f"expected chunks to be inferred in a loaded round, found none: {said or 'nothing was said'}"
            )
        found.chunks += chunks
        Path(operator.stop_episode().path).unlink()
        found.recorded += 1
    time.sleep(_SETTLE_S)


def _policy_is_ready(operator: Any) -> bool:
    """Whether it is, where its process has started at all: loading torch takes long on a busy machine."""
    from vla_msgs.msg import PolicyStatus

    from vla.ros.operator import OperatorError

    try:
        return bool(operator.policy.state == PolicyStatus.READY)
    except OperatorError:
        return False


def _recorder_began(operator: Any) -> bool:
    """Asks until the recorder agrees: it does not before it has seen every stream."""
    from vla.ros.operator import OperatorError

    try:
        operator.start_episode("bench")
    except OperatorError:
        return False
    return True


def _round(operator: Any, window_s: float) -> Round:
    """Lets time pass. How late commands were is known at the end, when the processes have written it down."""
    time.sleep(_SETTLE_S)
    missed, begin_ns, before = operator.command.deadline_misses, time.monotonic_ns(), _processor_times()
    time.sleep(window_s)
    passed, end_ns, status = _processor_times() - before, time.monotonic_ns(), operator.command
    if status.state != status.RUNNING:
        raise RuntimeError(
            f"expected command_node to execute chunks all the time, found {status.message or status.state}"
        )
    return Round(begin_ns, end_ns, float(passed[_STEAL] / passed.sum()), status.deadline_misses - missed)


def _stolen(pair: tuple[Round, Round]) -> float:
    return max(each.stolen for each in pair)


def _undisturbed(pairs: list[tuple[Round, Round]]) -> int:
    return sum(_stolen(pair) <= _MOST_STOLEN for pair in pairs)


def _processor_times() -> np.ndarray:
    """What all processors did since the start (8,): user, nice, system, idle, iowait, irq, softirq, stolen by the host."""
    with open("/proc/stat") as file:
        return np.array([int(value) for value in file.readline().split()[1:9]], dtype=float)


def _cut(ticks: np.ndarray, during: Round, rate_hz: float) -> np.ndarray:
    """How late the ticks of a round were (ticks,) [us]. Raises RuntimeError if there are too few."""
    late_us: np.ndarray = ticks[(ticks[:, 0] >= during.begin_ns) & (ticks[:, 0] < during.end_ns), 1] * 1e-3
    expected = _SERVED * rate_hz * (during.end_ns - during.begin_ns) * 1e-9
    if len(late_us) < expected:
        raise RuntimeError(f"expected at least {expected:.0f} ticks in a round, found {len(late_us)}")
    return late_us
