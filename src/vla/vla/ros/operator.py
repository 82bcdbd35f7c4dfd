"""What a program at the operator's place does: resets the simulation, arms, runs policies, records, and reads the statuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor
from rclpy.qos import QoSProfile
from std_srvs.srv import SetBool, Trigger
from vla_msgs.action import ReplayEpisode, RunPolicy
from vla_msgs.msg import CommandStatus, PolicyStatus, RecorderStatus, SimStatus
from vla_msgs.srv import Arm, Disarm, ResetWorld, RunSimulation, SetSpeed, StartEpisode, StopEpisode

from vla_core.errors import VlaError
from vla_ros import host as ros_host
from vla_ros import names, qos
from vla_ros.action_client import ActionClient

T = TypeVar("T")

_APPEAR_S = 60.0  # importing torch on a cold disk takes a while
_ANSWER_S = 30.0
_STATUSES = {
    names.SIM_STATUS: SimStatus,
    names.COMMAND_STATUS: CommandStatus,
    names.POLICY_STATUS: PolicyStatus,
    names.RECORDER_STATUS: RecorderStatus,
}
_OF_THE_ARM = (names.HOLD, names.RESUME, names.STOP, names.CLEAR_FAULT, names.RECOVER)
# service to its type and to the status that the same node publishes, if there is one
_SERVICES: dict[str, tuple[type, str]] = {
    names.RESET_WORLD: (ResetWorld, names.SIM_STATUS),
    names.RUN_SIMULATION: (RunSimulation, names.SIM_STATUS),
    names.EXPERT_ACT: (SetBool, ""),
    names.ARM: (Arm, names.COMMAND_STATUS),
    names.DISARM: (Disarm, names.COMMAND_STATUS),
    names.SET_SPEED: (SetSpeed, names.COMMAND_STATUS),
    **{name: (Trigger, names.COMMAND_STATUS) for name in _OF_THE_ARM},
    names.START_PLAYBACK: (Trigger, ""),
    names.START_EPISODE: (StartEpisode, names.RECORDER_STATUS),
    names.STOP_EPISODE: (StopEpisode, names.RECORDER_STATUS),
}


class OperatorError(VlaError):
    """A node refused what the operator asked for, did not answer, or is not there."""


class Operator:
    """A context manager over a node of its own; every call returns when it is done, or raises OperatorError.

    Args:
        check: is called while waiting; raises if there is no use in waiting any longer.
    """

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        self._check = check
        self._newest: dict[str, Any] = {}
        self._changed = threading.Condition()

    def __enter__(self) -> Operator:
        self._started_ros = not rclpy.ok()
        if self._started_ros:
            ros_host.init()
        self._node = rclpy.create_node("operator")
        self._group = ReentrantCallbackGroup()
        # The first answer of a service is lost if the server has not found our reader yet. Endpoints are announced in the
        # order of their making: whose status has come, that node knows the clients, which are made before.
        self._clients = {
            name: self._node.create_client(kind, name, callback_group=self._group)
            for name, (kind, _) in _SERVICES.items()
        }
        self._run_policy = ActionClient(self._node, RunPolicy, names.RUN_POLICY, callback_group=self._group)
        self._replay = ActionClient(self._node, ReplayEpisode, names.REPLAY_EPISODE, callback_group=self._group)
        in_order = MutuallyExclusiveCallbackGroup()  # else two threads may take them, and the older one last
        for topic, kind in _STATUSES.items():
            self._node.create_subscription(kind, topic, self._keep(topic), qos.latched(), callback_group=in_order)
        self._executor = MultiThreadedExecutor(2)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, name="operator", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(2.0)
        self._node.destroy_node()
        if self._started_ros:
            rclpy.try_shutdown()

    # -- statuses ------------------------------------------------------------------------------------------------------

    @property
    def sim(self) -> SimStatus:
        return self._status(names.SIM_STATUS)

    @property
    def command(self) -> CommandStatus:
        return self._status(names.COMMAND_STATUS)

    @property
    def policy(self) -> PolicyStatus:
        return self._status(names.POLICY_STATUS)

    @property
    def recorder(self) -> RecorderStatus:
        return self._status(names.RECORDER_STATUS)

    def wait_for_sim(self, condition: Callable[[SimStatus], bool], what: str) -> SimStatus:
        """Waits for a status of the simulator that fulfils a condition."""
        return self._wait_for(names.SIM_STATUS, condition, what)

    def wait_for_command(self, condition: Callable[[CommandStatus], bool], what: str) -> CommandStatus:
        """Waits for a status of the command_node that fulfils a condition."""
        return self._wait_for(names.COMMAND_STATUS, condition, what)

    def wait_for_policy(self, condition: Callable[[PolicyStatus], bool], what: str) -> PolicyStatus:
        """Waits for a status of the policy_node that fulfils a condition."""
        return self._wait_for(names.POLICY_STATUS, condition, what)

    def wait_until(self, condition: Callable[[], T | None], what: str, within_s: float = _ANSWER_S) -> T:
        """Waits until a condition is true and returns its value.

        Raises:
            OperatorError: it did not come true in time; ``what`` says what was expected.
        """
        deadline = time.monotonic() + within_s
        while not (value := condition()):
            self._check()
            if time.monotonic() > deadline:
                raise OperatorError(f"expected {what} within {within_s:.0f} s, found nothing of the kind")
            with self._changed:
                self._changed.wait(0.05)
        return value

    # -- simulation ----------------------------------------------------------------------------------------------------

    def reset_world(self, seed: int, arm_position: Iterable[float] = ()) -> None:
        request = ResetWorld.Request(seed=seed, arm_position=[float(value) for value in arm_position])
        self._accepted(self._call(names.RESET_WORLD, request))

    def run_simulation(self, duration_s: float, until_success: bool = False) -> RunSimulation.Response:
        """Runs simulated time, in lockstep."""
        request = RunSimulation.Request(duration_s=duration_s, until_success=until_success)
        return self._accepted(self._call(names.RUN_SIMULATION, request, within_s=3600.0))

    def let_expert_act(self, act: bool = True) -> None:
        response = self._call(names.EXPERT_ACT, SetBool.Request(data=act))
        if not response.success:
            raise OperatorError(f"the expert does not act: {response.message}")

    # -- policy and commands -------------------------------------------------------------------------------------------

    def arm(self, shadow: bool = False) -> None:
        self._accepted(self._call(names.ARM, Arm.Request(shadow=shadow)))

    def disarm(self, reason: str = "") -> None:
        self._accepted(self._call(names.DISARM, Disarm.Request(reason=reason)))

    def hold(self) -> None:
        """Slows the arm down and lets it hold, whatever chunks say."""
        self._done(names.HOLD)

    def resume(self) -> None:
        """Goes on after holding."""
        self._done(names.RESUME)

    def stop_arm(self) -> None:
        """Stops the arm; the fault that this is stays until it is cleared."""
        self._done(names.STOP)

    def clear_fault(self) -> None:
        self._done(names.CLEAR_FAULT)

    def recover(self) -> None:
        """Has the robot's own error recovered from, and its hardware and controllers activated."""
        self._done(names.RECOVER)

    def set_speed(self, speed: float) -> None:
        """Passes what chunks ask for at a share of its speed, in (0, 1]."""
        self._accepted(self._call(names.SET_SPEED, SetSpeed.Request(speed=speed)))

    def start_policy(self, prompt: str = "", duration_s: float = 0.0) -> Any:
        """Lets the policy run; returns the goal, for :meth:`end_policy`."""
        self._status(names.POLICY_STATUS)  # it knows our client, then
        return self._send_goal(self._run_policy, RunPolicy.Goal(prompt=prompt, duration_s=duration_s))

    def end_policy(self, goal: Any) -> RunPolicy.Result:
        """Cancels a run, if it is still on, and returns its result."""
        self._answer(goal.cancel_goal_async(), "the policy's run to be cancelled", _ANSWER_S)
        return self.result_of(goal)

    def start_replay(self, path: str, speed: float = 1.0) -> Any:
        """Lets an episode be played; returns the goal."""
        return self._send_goal(self._replay, ReplayEpisode.Goal(path=path, speed=speed))

    def start_playback(self) -> None:
        """Lets a playback node begin."""
        self._done(names.START_PLAYBACK)

    def result_of(self, goal: Any, within_s: float = _ANSWER_S) -> Any:
        """The result of a goal that has ended or is about to."""
        return self._answer(goal.get_result_async(), "the result of a goal", within_s).result

    # -- recorder ------------------------------------------------------------------------------------------------------

    def start_episode(self, prompt: str = "", policy_id: str = "") -> str:
        """Begins an episode and returns the file it will be; ``policy_id`` names the policy that drives, for a rollout."""
        request = StartEpisode.Request(prompt=prompt, policy_id=policy_id)
        return str(self._accepted(self._call(names.START_EPISODE, request)).path)

    def stop_episode(self, outcome: str = "") -> StopEpisode.Response:
        return self._accepted(self._call(names.STOP_EPISODE, StopEpisode.Request(outcome=outcome), within_s=120.0))

    # -- anything else -------------------------------------------------------------------------------------------------

    def listen(self, kind: type, topic: str, handler: Callable[[Any], None], profile: QoSProfile) -> None:
        """Subscribes; the handler runs in a thread of the operator's."""
        self._node.create_subscription(kind, topic, handler, profile, callback_group=self._group)

    # -- how -----------------------------------------------------------------------------------------------------------

    def _keep(self, topic: str) -> Callable[[Any], None]:
        def keep(message: Any) -> None:
            with self._changed:
                self._newest[topic] = message
                self._changed.notify_all()

        return keep

    def _status(self, topic: str) -> Any:
        return self.wait_until(lambda: self._newest.get(topic), f"a status on /{topic}", _APPEAR_S)

    def _wait_for(self, topic: str, condition: Callable[[Any], bool], what: str) -> Any:
        def fulfilled() -> Any:
            newest = self._newest.get(topic)
            return newest if newest is not None and condition(newest) else None

        return self.wait_until(fulfilled, what)

    def _call(self, name: str, request: Any, within_s: float = _ANSWER_S) -> Any:
        client, status = self._clients[name], _SERVICES[name][1]
        if status:
            self._status(status)
        self.wait_until(client.service_is_ready, f"the service /{name}", _APPEAR_S)
        return self._answer(client.call_async(request), f"an answer of /{name}", within_s)

    def _send_goal(self, client: ActionClient, goal: Any) -> Any:
        self.wait_until(client.server_is_ready, f"the action {client._action_name}", _APPEAR_S)
        handle = self._answer(client.send_goal_async(goal), f"an answer of the action {client._action_name}", _ANSWER_S)
        if not handle.accepted:
            raise OperatorError(f"the action {client._action_name} refused the goal")
        return handle

    def _answer(self, future: Any, what: str, within_s: float) -> Any:
        self.wait_until(future.done, what, within_s)
        return future.result()

    def _done(self, name: str) -> None:
        response = self._call(name, Trigger.Request(), within_s=120.0)
        if not response.success:
            raise OperatorError(f"/{name}: {response.message}")

    def _accepted(self, response: T) -> T:
        if not response.accepted:  # type: ignore[attr-defined]
            raise OperatorError(response.message)  # type: ignore[attr-defined]
        return response
