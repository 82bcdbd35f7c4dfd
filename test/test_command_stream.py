"""A controller that is told at every tick where to be, in real time: by a process of its own, which outlives its command_node.

Its commands go to a topic that only the test listens to, and there are ten of them in a second: what is tested is who tells
them, on a machine that may be busy.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from std_msgs.msg import Float64MultiArray
from support import Collector, Nodes, eventually, written
from vla_msgs.msg import ActionChunk, CommandStatus

from vla.environment import reserved_domain_id
from vla.graph import Bringup, bringup_graph
from vla.ros.operator import Operator, OperatorError
from vla.supervisor import Supervisor
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.steps import blank_observation
from vla_policy_node.fake import FakePolicy
from vla_ros import names, qos
from vla_ros.codecs.chunks import chunk_message
from vla_ros.host import NodeHost

pytestmark = pytest.mark.ros
COMMANDS = "/told_to_the_test"
PATIENCE_MS = 5000.0  # nothing else shall stop the arm on a busy machine
SILENCE_MS = 1000.0
ENDED_S = 30.0
CHUNK_NS = 200_000_000
MOVING = 0.02  # rad/s


@dataclass
class Told:
    """A command_node that moves, its stream of commands, and what that has told."""

    operator: Operator
    watch: Collector
    command_node: int
    stream: int
    before: int = 0  # commands when something happened

    @property
    def commands(self) -> np.ndarray:
        """(k, 7) velocities [rad/s]."""
        return np.array([message.data for message in self.watch.messages[COMMANDS]])

    def moves(self) -> bool:
        return bool((np.abs(self.commands[-1:]) > MOVING).any())

    def happens(self, to: int, by: signal.Signals) -> None:
        self.before = len(self.commands)
        os.kill(to, by)

    def require_told_to_rest(self) -> None:
        """The process has ended, after it had told the arm to slow down and to stand."""
        eventually(lambda: ended(self.stream), ENDED_S)
        eventually(lambda: len(self.commands) > self.before + 3 and not self.commands[-1].any(), ENDED_S)
        assert np.abs(self.commands[self.before]).max() > 0.0, "it was not stopped at once"


def ended(process_id: int) -> bool:
    """Whether a process is gone, or only its parent has not asked for its end yet."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def armed(operator: Operator) -> bool:
    """Whether it is: not before the robot's first joint states have come."""
    try:
        operator.arm()
    except OperatorError:
        return False
    return True


def child_of(process_id: int) -> int:
    (child,) = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return int(child)


class Watch(Collector):
    """Sees what is told, and sends chunks of a wave from where the arm stands."""

    def __init__(self, host: NodeHost, embodiment: Embodiment) -> None:
        super().__init__(host, {COMMANDS: Float64MultiArray})
        self._embodiment = embodiment
        self._policy = FakePolicy(embodiment)
        self._from: np.ndarray | None = None
        self._chunks = host.publisher(ActionChunk, names.ACTION_CHUNK, qos.command())
        host.every(CHUNK_NS, self._send)

    def begin(self, position: Sequence[float]) -> None:
        self._from = np.array(position)

    def _send(self, now_ns: int) -> None:
        if self._from is None:
            return
        seen = replace(blank_observation(self._embodiment), stamp_ns=now_ns)
        seen.proprioception["qpos"][: len(self._from)] = self._from
        self._chunks.publish(chunk_message(self._policy.infer(seen), self._embodiment.action_units))


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """In a domain of its own: for others, whoever was killed there would seem to live on for a while."""
    patient = dict.fromkeys(("max_observation_age_ms", "silence_ms", "joint_state_timeout_ms"), PATIENCE_MS)
    file = written(
        tmp_path / "told.yaml",
        arm={"name": "fr3_forward_controller", "kind": "forward_velocity", "topic": COMMANDS},
        motion={"control_rate_hz": 10.0, "lead_ms": 400.0},
        safety={**patient, "controller_timeout_ms": SILENCE_MS},
    )
    graph = bringup_graph(Bringup(robot="mock", policy="fake", embodiment=str(file), joint_state_rate_hz=100.0))
    processes = [process for process in graph.processes if process.name in ("sim_node", "command_node")]
    with reserved_domain_id() as domain_id:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain_id))
        with Supervisor(processes, os.environ) as supervisor, Operator() as operator, Nodes() as nodes:
            watch = nodes.start("watch", lambda host: Watch(host, load_embodiment(file)))
            operator.wait_for_command(lambda status: status.state == CommandStatus.READY, "a command_node")
            command_node = supervisor.process_id("command_node")
            told = Told(operator, watch, command_node, child_of(command_node))
            eventually(lambda: armed(operator), 60.0)
            standing = operator.wait_for_command(lambda status: status.state == CommandStatus.ARMED, "an armed arm")
            watch.begin(standing.position)
            eventually(told.moves, 60.0)
            yield told
            if not ended(told.stream):
                os.kill(told.stream, signal.SIGCONT)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_node_that_ends_in_motion_leaves_an_arm_that_is_told_to_rest(told: Told, by: signal.Signals) -> None:
    told.happens(told.command_node, by)
    told.require_told_to_rest()


@pytest.mark.parametrize(
    ("by", "why"),
    [(signal.SIGKILL, "has ended (exit status -9)"), (signal.SIGSTOP, "has said nothing for")],
)
def test_a_stream_of_commands_that_is_lost_is_a_fault(told: Told, by: signal.Signals, why: str) -> None:
    told.happens(told.stream, by)
    status = told.operator.wait_for_command(lambda status: status.state == CommandStatus.FAULT, "a fault")
    assert status.fault == "commands_lost"
    assert status.message.startswith("the controller is not told where to be any more: the process that tells it ")
    assert why in status.message
    assert len(told.commands) <= told.before + 3
