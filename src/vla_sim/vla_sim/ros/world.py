"""The simulated world: its objects, its task, its resets, and the running of lockstep time."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Quaternion
from geometry_msgs.msg import Pose as PoseMessage
from vla_msgs.msg import ObjectPoses, SimStatus
from vla_msgs.srv import ResetWorld, RunSimulation

from vla_core.embodiment import Embodiment, JointLimits
from vla_core.motion.measure import CommandMeter
from vla_ros import names, qos
from vla_ros.host import NodeHost
from vla_ros.lockstep import LockstepError, LockstepLeader
from vla_ros.lockstep.leader import Span
from vla_ros.time import to_time
from vla_sim.errors import SimulationError
from vla_sim.plant import Pose
from vla_sim.robot import CycleLog, SimulatedRobot
from vla_sim.ros.command_queue import CommandQueue
from vla_sim.tasks import Task

_PERIOD_S = 1e-3


class World:
    """Watches the task, measures what is commanded, and resets.

    Args:
        host: of the simulator's node.
        robot: in the world of ``seed``.
        leader: the pacer, in lockstep; None in real time, where time always runs.
        trace: folder for what was commanded; None: nothing is kept.
        commands: what waits to be applied; a reset empties it.

    Raises:
        SimulationError: the folder cannot be made.
    """

    def __init__(
        self,
        host: NodeHost,
        embodiment: Embodiment,
        robot: SimulatedRobot,
        task: Task,
        seed: int,
        leader: LockstepLeader | None,
        trace: Path | None,
        commands: CommandQueue,
    ) -> None:
        self.success = False
        self._host = host
        self._embodiment = embodiment
        self._limits = JointLimits.of(embodiment)
        self._robot = robot
        self._task = task
        self._leader = leader
        self._trace = _made(trace) if trace else None
        self._commands = commands
        self._resets = 0
        self._begin(seed)
        self._objects = host.publisher(ObjectPoses, names.OBJECT_POSES, qos.stream(10))
        self._status = host.publisher(SimStatus, names.SIM_STATUS, qos.latched())
        host.service(ResetWorld, names.RESET_WORLD, self._on_reset)
        host.background_service(RunSimulation, names.RUN_SIMULATION, self._on_run)

    def note(self, log: CycleLog) -> None:
        """Takes what happened in some cycles."""
        self._meter.add(log.command)
        if self._trace is not None:
            self._logs.append(log)

    def watch(self) -> None:
        """Looks whether the task is done, and publishes where the objects are."""
        objects = self._robot.plant.object_poses()
        fingers = self._robot.plant.finger_state().position
        finger = float(fingers.mean()) if len(fingers) else 0.0
        self.success = self._test.update(self._robot.time_ns, objects, finger)
        message = ObjectPoses(names=list(objects), poses=[_pose_message(pose) for pose in objects.values()])
        message.header.stamp = to_time(self._robot.time_ns)
        message.header.frame_id = "base"
        self._objects.publish(message)

    def publish_status(self, now_ns: int) -> None:
        found = self._meter.quality
        message = SimStatus(
            task=self._task.name,
            seed=self._seed,
            success=self.success,
            paused=self._leader is not None and not self._leader.running,
            resets=self._resets,
            duration_s=(self._robot.time_ns - self._began_ns) * 1e-9,
            commanded_cycles=found.samples,
            position_violations=found.position,
            velocity_violations=found.velocity,
            acceleration_violations=found.acceleration,
            jerk_violations=found.jerk,
            rms_jerk=found.rms_jerk,
            velocity_use=found.velocity_use,
            acceleration_use=found.acceleration_use,
            jerk_use=found.jerk_use,
        )
        message.header.stamp = to_time(self._robot.time_ns)
        self._status.publish(message)

    def close(self) -> None:
        """Writes the trace of the last world."""
        self._write_trace()

    def _begin(self, seed: int) -> None:
        self._seed = seed
        self._began_ns = self._robot.time_ns
        self._test = self._task.success_test()
        self._meter = CommandMeter(self._limits, _PERIOD_S)
        self._logs: list[CycleLog] = []
        self.success = False

    def _on_reset(self, request: ResetWorld.Request, response: ResetWorld.Response) -> ResetWorld.Response:
        if self._leader is not None and self._leader.running:
            response.message = "simulated time is running; expected it to be paused before a reset"
            return response
        world = self._task.world(request.seed)
        arm = np.array(request.arm_position, dtype=np.float64)
        if arm.size:
            if problem := self._problem_with(arm):
                response.message = problem
                return response
            world = dataclasses.replace(world, arm_position=arm)
        self._write_trace()
        self._commands.clear()
        self._robot.reset(world)
        self._resets += 1
        self._begin(request.seed)
        self.publish_status(self._robot.time_ns)
        response.accepted = True
        return response

    def _problem_with(self, arm: Any) -> str:
        expected = len(self._embodiment.joints)
        if arm.shape != (expected,) or not np.isfinite(arm).all():
            return f"arm_position: expected {expected} finite values, found {arm.tolist()}"
        if ((arm < self._limits.position_min) | (arm > self._limits.position_max)).any():
            return f"arm_position: expected positions within the joints' limits, found {arm.tolist()}"
        return ""

    def _on_run(self, request: RunSimulation.Request, response: RunSimulation.Response) -> RunSimulation.Response:
        """Runs beside the loop: waits until the span is over."""
        if self._leader is None:
            response.message = "expected a simulation in lockstep; in real time it always runs"
            return response
        leader, began_ns = self._leader, self._robot.time_ns
        stop = (lambda: self.success) if request.until_success else (lambda: False)
        span = Span(began_ns + round(request.duration_s * 1e9), stop)
        try:
            self._host.in_loop(lambda: leader.run(span))
        except LockstepError as error:
            response.message = str(error)
            return response
        while not span.finished.wait(0.5) and not self._host.stopped:
            pass
        response.accepted = not span.error
        response.message = span.error
        response.success = self.success
        response.duration_s = (self._robot.time_ns - began_ns) * 1e-9
        self._host.in_loop(lambda: self.publish_status(self._robot.time_ns))
        return response

    def _write_trace(self) -> None:
        if self._trace is None or not self._logs:
            return
        np.savez_compressed(
            self._trace / f"world_{self._resets:04d}_seed_{self._seed}.npz",
            joint_names=np.array(self._embodiment.joint_names),
            time_ns=np.concatenate([log.time_ns for log in self._logs]),
            command=np.concatenate([log.command for log in self._logs]),
            position=np.concatenate([log.position for log in self._logs]),
        )
        self._logs = []


def _made(folder: Path) -> Path:
    """Makes a folder now, so that it is known before anything runs whether it can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SimulationError(
            f"trace: expected a folder that can be made, found {folder} ({error.strerror})"
        ) from error
    return folder


def _pose_message(pose: Pose) -> PoseMessage:
    x, y, z = (float(value) for value in pose.position)
    w, i, j, k = (float(value) for value in pose.quaternion)
    return PoseMessage(position=Point(x=x, y=y, z=z), orientation=Quaternion(w=w, x=i, y=j, z=k))
