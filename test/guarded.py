"""A simulated robot in lockstep to which the tests of faults do what they like."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saboteur import EMBODIMENT, RELAYED, UPSTREAM, Saboteur
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from support import Collector, Nodes, eventually, with_parameters, written
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import ActionChunk as ActionChunkMessage
from vla_msgs.msg import CommandStatus, PolicyStatus, SimStatus
from vla_msgs.srv import LoadPolicy

from control_msgs.msg import JointTrajectoryControllerState
from controller_manager_msgs.srv import SwitchController
from vla.environment import reserved_domain_id
from vla.graph import Bringup, bringup_graph
from vla.ros.operator import Operator
from vla.supervisor import ProcessDied, Supervisor
from vla_core import config
from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.observation import Observation
from vla_policy_node.fake import FakePolicy
from vla_policy_node.policy_node import PolicyNode
from vla_ros import names, qos
from vla_ros.host import NodeHost
from vla_ros.time import to_ns

TRAJECTORIES = "/fr3_arm_controller/joint_trajectory"
STATES = "/franka/joint_states"
CONTROLLER = "/fr3_arm_controller/controller_state"
SWITCH_CONTROLLER = "/controller_manager/switch_controller"
DEADMAN = "/deadman"
SHORT_LEASE = Path(__file__).parent / "data" / "short_lease.xml"
STARTED_S = 300.0  # the machine may be busy
STATES_HZ = 250  # as often as these tests need them: each is relayed
STANDING = 2e-3  # rad/s
TICKS_MS = 40.0  # four of the lockstep: to the saboteur, from there to a node, to the other one, and its status
STOP_MS = 250.0  # from the decision to the rest, of the wave
FROZEN_AFTER_MS = 100.0  # cameras of these tests


class Steered(FakePolicy):
    """A wide wave, to which the test may do something.

    Attributes:
        does: takes each chunk and returns what is output instead; may raise.
        seen: what it was shown, newest last.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        super().__init__(embodiment, amplitude=0.3)
        self.does: Callable[[ActionChunk], ActionChunk] = lambda chunk: chunk
        self.seen: list[Observation] = []

    def infer(self, observation: Observation, prefix: ActionPrefix | None = None) -> ActionChunk:
        self.seen.append(observation)
        return self.does(super().infer(observation, prefix))


class Watch(Collector):
    """Sees what is sent and how the arm moves, holds the deadman switch, and relays through a :class:`Saboteur`, if asked to.

    Attributes:
        deadman: what the switch says; None: it is silent.
    """

    def __init__(self, host: NodeHost, relays: bool = False) -> None:
        topics = {
            STATES: JointState,
            CONTROLLER: JointTrajectoryControllerState,
            TRAJECTORIES: JointTrajectory,
            names.ACTION_CHUNK: ActionChunkMessage,
            names.COMMAND_STATUS: CommandStatus,
        }
        services = {names.LOAD_POLICY: LoadPolicy, SWITCH_CONTROLLER: SwitchController}
        super().__init__(host, topics, services, (names.POLICY_STATUS, PolicyStatus))
        self.saboteur = Saboteur(host) if relays else None
        self.deadman: bool | None = True
        self._deadman = host.publisher(Bool, DEADMAN, qos.command())
        self._emergency_stop = host.publisher(Bool, "/emergency_stop", qos.command())
        host.every(50_000_000, self._say_deadman)

    def press_emergency_stop(self, pressed: bool = True) -> None:
        """Presses or releases it. Only while simulated time stands still."""
        self.host.in_loop(lambda: self._emergency_stop.publish(Bool(data=pressed)))

    def switch_controller(self, active: bool) -> None:
        """Activates or deactivates the arm's controller, as somebody else on the robot may."""
        which = {"activate_controllers" if active else "deactivate_controllers": ["fr3_arm_controller"]}
        request = SwitchController.Request(strictness=SwitchController.Request.STRICT, **which)
        assert self.call(SWITCH_CONTROLLER, request).ok

    def positions(self) -> np.ndarray:
        """Measured arm positions (k, 7) [rad]."""
        return np.array([message.position for message in self.messages[STATES]])

    def speed(self) -> float:
        """Of the fastest joint, newest [rad/s]."""
        return float(np.abs(self.messages[STATES][-1].velocity).max())

    def _say_deadman(self, now_ns: int) -> None:
        if self.deadman is not None:
            self._deadman.publish(Bool(data=self.deadman))

    def fault(self) -> CommandStatus | None:
        """The first status that tells of a fault."""
        return next((one for one in self.messages[names.COMMAND_STATUS] if one.state == CommandStatus.FAULT), None)


def violations(status: SimStatus) -> int:
    return (
        status.position_violations
        + status.velocity_violations
        + status.acceleration_violations
        + status.jerk_violations
    )


@dataclass(frozen=True)
class Guarded:
    """A simulated robot in lockstep, and who operates and watches it."""

    operator: Operator
    watch: Watch
    policies: list[Steered] = field(default_factory=list)
    policy_statuses: list[PolicyStatus] = field(default_factory=list)  # as they are published, before they are relayed
    runs: list[Any] = field(default_factory=list)

    @property
    def policy(self) -> Steered:
        return self.policies[-1]

    @property
    def saboteur(self) -> Saboteur:
        assert self.watch.saboteur is not None
        return self.watch.saboteur

    def start_policy(self, prompt: str = "wave") -> Any:
        """Lets the policy run, until the end of the test at the latest."""
        self.runs.append(self.operator.start_policy(prompt))
        return self.runs[-1]

    def end_policy(self) -> None:
        while self.runs:
            self.operator.end_policy(self.runs.pop())

    def begin_anew(self) -> None:
        """Ends what is on, and brings up a new world in which nothing is wrong."""
        self.saboteur.ends()
        self.watch.deadman = True
        self.end_policy()
        self.operator.disarm("for the next test")
        self.operator.reset_world(1)
        self.policy.does = lambda chunk: chunk
        self.run(0.4)
        for kept in self.watch.messages.values():
            kept.clear()
        self.policy.seen.clear()

    def run(self, duration_s: float) -> tuple[CommandStatus, PolicyStatus]:
        """Lets time run, by a multiple of the statuses' periods, 0.2 s; returns those of its end."""
        self.operator.run_simulation(duration_s)
        return (
            self.operator.wait_for_command(self.of_now, "the command_node's last status"),
            self.operator.wait_until(self._policy_status_of_now, "the policy_node's last status"),
        )

    def set_in_motion(self, faster_than: float = 0.2) -> None:
        """Arms, lets the policy run, and waits until the arm moves [rad/s]."""
        self.operator.arm()
        self.start_policy()
        for _ in range(20):
            self.run(0.2)
            if self.watch.speed() > faster_than:
                return
        raise AssertionError(f"expected an arm that moves at {faster_than} rad/s, found {self.watch.speed():.3f}")

    def require_fault(
        self, name: str, message: str, within_ms: float, began_ns: int | None = None, allowed: int = 0
    ) -> CommandStatus:
        """The latched fault; the arm has stopped inside of its limits and stays where it is.

        Args:
            name: of the fault.
            message: part of the sentence.
            within_ms: simulated time from the beginning of what went wrong until it is told, at most [ms]; ticks are added.
            began_ns: when that was; None: when the saboteur did something first.
            allowed: violations of limits, by somebody else.
        """
        status = self.operator.wait_for_command(self.of_now, "the command_node's last status")
        assert (status.state, status.fault) == (CommandStatus.FAULT, name), status.message
        assert message in status.message
        began_ns = self.saboteur.began_ns if began_ns is None else began_ns
        told = self.watch.fault()
        assert began_ns is not None
        assert told is not None
        assert 0.0 <= (to_ns(told.header.stamp) - began_ns) / 1e6 <= within_ms + TICKS_MS
        self.require_safe(500, allowed)
        before = self.watch.positions()[-1]
        self.operator.run_simulation(0.2)
        assert np.abs(self.watch.positions()[-1] - before).max() < 1e-3
        return status

    def require_stopping(self, within_ms: float, began_ns: int | None = None) -> None:
        """The arm stands from the time on at which what went wrong is to be noticed, and the stop is over [ms]."""
        began_ns = self.saboteur.began_ns if began_ns is None else began_ns
        assert began_ns is not None
        from_ns = began_ns + (within_ms + TICKS_MS + STOP_MS) * 1e6
        moving = [one for one in self.watch.messages[STATES] if to_ns(one.header.stamp) > from_ns]
        assert len(moving) > STATES_HZ // 10
        assert max(np.abs(one.velocity).max() for one in moving) < STANDING

    def require_safe(self, least_cycles: int, allowed: int = 0) -> None:
        """The arm stands, and nothing that was commanded since the reset broke a limit."""
        assert self.watch.speed() < STANDING
        self.require_within_limits(least_cycles, allowed)

    def require_within_limits(self, least_cycles: int, allowed: int = 0) -> None:
        sim = self.operator.wait_for_sim(self.of_now, "the simulator's last status")
        assert sim.commanded_cycles > least_cycles
        assert violations(sim) == allowed

    def _policy_status_of_now(self) -> PolicyStatus | None:
        return self.policy_statuses[-1] if self.policy_statuses and self.of_now(self.policy_statuses[-1]) else None

    def of_now(self, status: Any) -> bool:
        return to_ns(status.header.stamp) == self.watch.host.clock.now_ns()


@contextmanager
def guarded(folder: Path) -> Iterator[Guarded]:
    """Simulator and command_node in processes, policy_node and watch in this one; topics are relayed by a saboteur."""
    cameras = {role: {"frozen_after_ms": FROZEN_AFTER_MS} for role in ("scene", "wrist")}
    stricter = {"cameras": cameras, "safety": {"deadman": {"topic": DEADMAN}}}
    relayed = written(folder / "relayed.yaml", **config.merge(EMBODIMENT, stricter))
    graph = bringup_graph(Bringup(policy="fake", lockstep=True, joint_state_rate_hz=float(STATES_HZ)))
    for name in ("command_node", "policy_node"):
        graph = with_parameters(graph, name, embodiment=str(relayed))
    graph = with_parameters(graph, "sim_node", participants=["command_node", "policy_node", "watch"])
    policies: list[Steered] = []
    load = PolicyNode._load

    def steered(node: PolicyNode, path: str, device: str) -> Any:
        if path != "fake":
            return load(node, path, device)
        policies.append(Steered(node._embodiment))
        return policies[-1]

    (here,) = [process for process in graph.processes if process.name == "policy_node"]
    with (
        pytest.MonkeyPatch.context() as patch,
        Supervisor([process for process in graph.processes if process is not here], os.environ) as supervisor,
        Operator(supervisor.check) as operator,
        Nodes() as nodes,
    ):
        patch.setattr(PolicyNode, "_load", steered)
        nodes.start("policy_node", PolicyNode, remapped=UPSTREAM, **here.parameters)
        watch = nodes.start("watch", lambda host: Watch(host, relays=True), lockstep=True)
        robot = Guarded(operator, watch, policies)
        operator.listen(PolicyStatus, RELAYED["policy"].published, robot.policy_statuses.append, qos.latched())
        started: list[CommandStatus] = []
        operator.listen(CommandStatus, names.COMMAND_STATUS, started.append, qos.latched())
        operator.wait_until(lambda: started and robot.policy_statuses, "the nodes' statuses", STARTED_S)
        yield robot


def safety() -> Any:
    """The safety section of the simulated robot."""
    return load_embodiment(Path(__file__).parents[1] / "config" / "embodiments" / "fr3_sim.yaml").safety


# -- killed and stopped ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mortal(Guarded):
    """A simulated robot in lockstep whose processes may be killed: nobody looks whether they live."""

    supervisor: Supervisor = field(kw_only=True)
    nodes: Nodes = field(kw_only=True)
    stopped: list[int] = field(default_factory=list)

    def lose(self, name: str, by: signal.Signals) -> None:
        """Kills or stops a node, and waits until nobody waits any longer for its acknowledgements of what it is sent."""
        os.kill(self.supervisor.process_id(name), by)
        if by is signal.SIGSTOP:
            self.stopped.append(self.supervisor.process_id(name))
        else:
            with pytest.raises(ProcessDied, match=f"{name} ended with exit status -9"):
                self.supervisor.wait(lambda: False)
        status = {"policy_node": names.POLICY_STATUS, "command_node": names.COMMAND_STATUS}[name]
        eventually(lambda: self.watch.host.node.count_publishers(status) == 0, 60.0)
        self.nodes.start(name, Collector, lockstep=True)  # takes its seat: without it simulated time would stand still


@contextmanager
def mortal_in_motion(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mortal]:
    """In motion, in a domain of its own: for others, whoever was killed there would seem to live on for a while."""
    graph = bringup_graph(Bringup(policy="fake", lockstep=True))
    graph = with_parameters(graph, "sim_node", participants=["command_node", "policy_node", "watch"])
    with reserved_domain_id() as domain_id:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain_id))
        monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(SHORT_LEASE))
        with Supervisor(graph.processes, os.environ) as supervisor, Operator() as operator, Nodes() as nodes:
            watch = nodes.start("watch", Watch, lockstep=True)
            mortal = Mortal(operator, watch, supervisor=supervisor, nodes=nodes)
            operator.listen(PolicyStatus, names.POLICY_STATUS, mortal.policy_statuses.append, qos.latched())
            operator.reset_world(1)
            mortal.run(0.4)
            mortal.set_in_motion(faster_than=0.05)
            try:
                yield mortal
            finally:
                for process_id in mortal.stopped:  # who is stopped hears of nothing else
                    os.kill(process_id, signal.SIGKILL)
