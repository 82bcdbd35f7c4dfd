"""sim_node: a simulated FR3 that speaks the topics, services and actions of franka_ros2 and ros2_control."""

from __future__ import annotations

import sys
from pathlib import Path

import rclpy
from rosgraph_msgs.msg import Clock

from vla_core.embodiment import load_embodiment
from vla_ros import params, qos
from vla_ros.host import NodeHost
from vla_ros.lockstep import LockstepLeader
from vla_ros.nodes import run_node
from vla_ros.real_time import RealTimePacer
from vla_ros.time import to_time
from vla_sim.controllers.joint_trajectory import JointTrajectoryController
from vla_sim.ros.cameras import CameraPublishers
from vla_sim.ros.command_queue import CommandQueue
from vla_sim.ros.controller_parameters import ControllerParameterServices
from vla_sim.ros.controller_topics import ControllerTopics, GripperAction, ManagerServices, TrajectoryAction
from vla_sim.ros.parameters import CYCLE_NS, SimParameters, build_robot
from vla_sim.ros.state_publishers import StatePublishers
from vla_sim.ros.world import World

_LOCKSTEP_TICK_NS = 10_000_000
_REAL_TIME_TICK_NS = 5_000_000
_STATUS_NS = 100_000_000
_LONGEST_CATCH_UP_NS = 50_000_000
_TOO_SLOW_NS = 500_000_000


class SimNode:
    """Advances the simulated robot to the host's time and publishes what happened."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host
        parameters = params.declare(host.node, SimParameters)
        embodiment = load_embodiment(Path(parameters.embodiment))
        self._robot, task = build_robot(parameters, embodiment, host.clock.now_ns)
        leader = host.pacer if isinstance(host.pacer, LockstepLeader) else None
        trace = Path(parameters.trace) if parameters.trace else None
        self._commands = CommandQueue()
        self._world = World(host, embodiment, self._robot, task, parameters.seed, leader, trace, self._commands)
        self._states = StatePublishers(host, embodiment, parameters.joint_state_rate_hz)
        self._cameras = CameraPublishers(host, embodiment, self._robot.plant)
        self._clock = host.publisher(Clock, "/clock", qos.stream(10))
        self._interfaces = [
            ControllerTopics(host, self._robot, self._commands),
            ManagerServices(host, self._robot),
            ControllerParameterServices(host, self._robot),
            *(
                TrajectoryAction(host, self._robot, name)
                for name, kind in self._robot.manager.file.types.items()
                if kind == JointTrajectoryController.type
            ),
        ]
        if embodiment.gripper is not None:
            self._interfaces.append(GripperAction(host, self._robot, embodiment.gripper))
        host.every(_LOCKSTEP_TICK_NS if leader else _REAL_TIME_TICK_NS, self._on_tick)
        host.every(_STATUS_NS, self._world.publish_status)
        self._world.publish_status(self._robot.time_ns)

    def close(self) -> None:
        self._world.close()

    def _on_tick(self, now_ns: int) -> None:
        until_ns = self._catch_up(now_ns)
        while self._robot.time_ns < until_ns:
            image_ns = self._cameras.next_ns(self._robot.time_ns)
            if image_ns == self._robot.time_ns:
                self._cameras.publish(image_ns)
                continue
            self._commands.apply_due(self._robot.time_ns)
            self._advance(min(until_ns, image_ns, self._next_command_ns(until_ns)))
        self._world.watch()
        self._clock.publish(Clock(clock=to_time(self._robot.time_ns)))

    def _advance(self, until_ns: int) -> None:
        log = self._robot.run((until_ns - self._robot.time_ns) // CYCLE_NS)
        self._world.note(log)
        self._states.publish(log)

    def _next_command_ns(self, until_ns: int) -> int:
        """The cycle before which the next command was received, or ``until_ns`` if none waits."""
        received_ns = self._commands.next_ns()
        return until_ns if received_ns is None else -(-received_ns // CYCLE_NS) * CYCLE_NS

    def _catch_up(self, now_ns: int) -> int:
        """How far to simulate now: not more at once than keeps the topics alive, when the machine is too slow."""
        behind_ns = now_ns - self._robot.time_ns
        if behind_ns > _TOO_SLOW_NS:
            self._host.node.get_logger().warning(
                f"simulated time is {behind_ns * 1e-9:.1f} s behind: this machine is too slow for real time; "
                "use lockstep, or smaller images",
                throttle_duration_sec=5.0,
            )
        until_ns = min(now_ns, self._robot.time_ns + _LONGEST_CATCH_UP_NS)
        return until_ns // CYCLE_NS * CYCLE_NS


def make_host(name: str) -> NodeHost:
    """The simulator owns the time: in lockstep it leads."""
    node = rclpy.create_node(name)
    lockstep = node.declare_parameter("lockstep", False).value
    if not lockstep:
        return NodeHost(node, RealTimePacer())
    declared = node.declare_parameter("participants", [""])  # ROS has no empty list of strings
    participants = [name for name in declared.value if name]
    return NodeHost(node, LockstepLeader(node, participants, _LOCKSTEP_TICK_NS))


def main() -> int:
    return run_node("sim_node", SimNode, make_host)


if __name__ == "__main__":
    sys.exit(main())
