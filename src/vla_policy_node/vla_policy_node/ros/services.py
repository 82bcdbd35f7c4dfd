"""What an operator asks a command_node for: arm, hold, resume, stop, clear a fault, disarm, change the speed."""

from __future__ import annotations

from collections.abc import Callable

from std_srvs.srv import Trigger
from vla_msgs.srv import Arm, Disarm, SetSpeed

from vla_core.embodiment import Embodiment
from vla_core.errors import LimitError, VlaError
from vla_core.execution import Executor
from vla_core.execution.faults import Fault, FaultName
from vla_core.execution.robot_watch import RobotWatch
from vla_ros import names
from vla_ros.host import NodeHost
from vla_ros.robot.arm_state import ArmState
from vla_ros.robot.controllers import ControllerParameters, ControllerSwitch
from vla_ros.robot.recovery import recovery_of
from vla_ros.robot.sinks import GripperSink

_GRIPPER_APPEARS_S = 5.0


class CommandServices:
    """Offers the services.

    Args:
        host: of the node.
        embodiment: the robot.
        executor: is asked.
        watch: begins to watch the robot when the arm is armed.
        gripper: must be there for arming; None: the robot has none.
        changed: is called in the loop when something has been done, to tell everybody.
        stop_and_disarm: brings the arm to rest and disarms it, in the loop.
    """

    def __init__(
        self,
        host: NodeHost,
        embodiment: Embodiment,
        executor: Executor,
        watch: RobotWatch,
        gripper: GripperSink | None,
        changed: Callable[[], None],
        stop_and_disarm: Callable[[], None],
    ) -> None:
        self._host = host
        self._logger = host.node.get_logger()
        self._executor = executor
        self._watch = watch
        self._gripper = gripper
        self._changed = changed
        self._stop_and_disarm = stop_and_disarm
        self._arm_state = ArmState(host, embodiment, watch)
        self._switch = ControllerSwitch(host, embodiment)
        trajectories = embodiment.arm.kind == "joint_trajectory"
        self._controller = ControllerParameters(host, embodiment) if trajectories else None
        host.background_service(Arm, names.ARM, self._on_arm)
        host.service(Disarm, names.DISARM, self._on_disarm)
        host.service(SetSpeed, names.SET_SPEED, self._on_set_speed)
        self._recovery = recovery_of(host, embodiment, self._switch)
        host.background_service(Trigger, names.RECOVER, self._on_recover)
        for name, act in (
            (names.HOLD, lambda now_ns: executor.hold("asked to hold")),
            (names.RESUME, executor.resume),
            (names.STOP, lambda now_ns: executor.fault(Fault(FaultName.STOPPED, "stopped by the operator"))),
            (names.CLEAR_FAULT, executor.clear_fault),
        ):
            host.service(Trigger, name, self._triggered(name, act))

    def give_back_controllers(self) -> None:
        """Has the controllers that were there before arming activated again. The arm must stand. For the loop."""
        self._host.compute(self._given_back, self._note)

    # -- arming ----------------------------------------------------------------------------------------------------------

    def _on_arm(self, request: Arm.Request, response: Arm.Response) -> Arm.Response:
        """Beside the loop: controllers are switched, and just after the start a server may be there and not be found yet."""
        try:
            if not request.shadow:
                self._prepare()
            self._host.in_loop(lambda: self._arm(request.shadow))
            response.accepted = True
        except VlaError as error:
            response.message = str(error)
            self._logger.error(f"not armed: {error}")
        self._host.in_loop(self._changed)
        return response

    def _prepare(self) -> None:
        if self._gripper:
            self._gripper.wait_for_server(_GRIPPER_APPEARS_S)
            self._gripper.require_server()
        self._switch.take()
        if self._controller:
            self._controller.require_fitting()
        self._arm_state.wait_for_controller()

    def _arm(self, shadow: bool) -> None:
        now_ns = self._host.clock.now_ns()
        position, velocity = self._arm_state.position_to_arm_from(now_ns)
        self._executor.arm(position, velocity, self._arm_state.finger, now_ns, shadow)
        self._watch.begin(now_ns)

    # -- the others ------------------------------------------------------------------------------------------------------

    def _on_disarm(self, request: Disarm.Request, response: Disarm.Response) -> Disarm.Response:
        self._stop_and_disarm()
        self._logger.info(f"disarmed: {request.reason or 'asked to'}")
        self._changed()
        response.accepted = True
        return response

    def _on_set_speed(self, request: SetSpeed.Request, response: SetSpeed.Response) -> SetSpeed.Response:
        try:
            self._executor.set_speed(request.speed, self._host.clock.now_ns())
            response.accepted = True
        except LimitError as error:
            response.message = str(error)
        self._changed()
        return response

    def _on_recover(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Beside the loop. The arm is not armed by it: somebody looks first."""
        try:
            if self._recovery is None:
                raise LimitError("expected an embodiment that declares a recovery, found none")
            if self._executor.commanding:
                raise LimitError(f"expected a disarmed arm, found the state {self._executor.state.name}")
            self._recovery.run()
            response.success = True
        except VlaError as error:
            response.message = str(error)
            self._logger.error(f"not recovered: {error}")
        return response

    def _triggered(
        self, name: str, act: Callable[[int], None]
    ) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
        def handle(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            try:
                act(self._host.clock.now_ns())
                response.success = True
            except LimitError as error:
                response.message = str(error)
                self._logger.error(f"{name}: {error}")
            self._changed()
            return response

        return handle

    def _note(self, problem: str) -> None:
        if problem:
            self._logger.error(problem)

    def _given_back(self) -> str:
        try:
            self._switch.give_back()
        except VlaError as error:
            return f"the controllers were not given back: {error}"
        return ""
