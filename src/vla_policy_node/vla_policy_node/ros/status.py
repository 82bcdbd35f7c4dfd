"""What a command_node tells about itself: its typed status, and the same for ROS's diagnostics."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from vla_msgs.msg import CommandStatus

from vla_core.execution import Executor, ExecutorState
from vla_core.execution.use import UseMeter
from vla_core.motion.plan import MotionPlan
from vla_ros import names, qos
from vla_ros.host import NodeHost
from vla_ros.robot.command_stream import Ticks
from vla_ros.time import to_time

_STATUS_NS = 100_000_000
_DIAGNOSTICS_NS = 1_000_000_000
_WARNS = (ExecutorState.UNCONFIGURED, ExecutorState.HOLDING)


class CommandStatusTopic:
    """Publishes the state of an executor ten times a second, and whenever it is asked to.

    Args:
        host: of the node.
        executor: whose state it is.
        strategy: its name.
        ticks: whose lateness is told: those of the commands, or of the decisions where there are no others.
    """

    def __init__(self, host: NodeHost, executor: Executor, strategy: str, ticks: Ticks) -> None:
        self._host = host
        self._executor = executor
        self._strategy = strategy
        self._ticks = ticks
        self._use = UseMeter(executor.axes.limits)
        self._decided = 0  # ticks since the last status
        self._sent = 0  # commands until then
        self._told_ns = 0  # when that was
        self._status = host.publisher(CommandStatus, names.COMMAND_STATUS, qos.latched())
        self._diagnostics = host.publisher(DiagnosticArray, "/diagnostics", qos.command())
        host.every(_STATUS_NS, self.publish)
        host.every(_DIAGNOSTICS_NS, self._diagnose)

    def note(self, plan: MotionPlan, now_ns: int) -> None:
        """Takes the plan that a tick has decided on: for the use of the limits, and the rate of commands."""
        self._decided += 1
        self._use.note(plan, now_ns)

    def publish(self, now_ns: int) -> None:
        """Publishes the status."""
        executor, use = self._executor, self._use.read()
        state = executor.commanded_at(now_ns)
        ruling, lateness = executor.scheduler.ruling, self._ticks.lateness.read()
        message = CommandStatus(
            state=executor.state.value,
            message=executor.message,
            fault=executor.fault_name.value if executor.fault_name else "",
            intervention=executor.intervention,
            speed=executor.scheduler.speed,
            strategy=self._strategy,
            names=list(executor.axes.names),
            position=_doubles(state.position if state else []),
            velocity=_doubles(state.velocity if state else []),
            acceleration=_doubles(state.acceleration if state else []),
            gripper=float("nan") if executor.gripper_target is None else executor.gripper_target,
            velocity_use=_doubles(use.velocity),
            acceleration_use=_doubles(use.acceleration),
            jerk_use=_doubles(use.jerk),
            chunks_accepted=executor.counters.chunks_accepted,
            chunks_refused=executor.counters.chunks_refused,
            chunks_discarded=executor.counters.chunks_discarded,
            chunks_late=executor.counters.chunks_late,
            ticks_starved=executor.counters.ticks_starved,
            commands_sent=executor.counters.commands_sent,
            command_rate_hz=self._command_rate(now_ns),
            deadline_misses=self._deadline_misses,
            lateness_p50_us=lateness.p50_us,
            lateness_max_us=lateness.max_us,
            scheduling=self._host.scheduling,
            active_policy=ruling.policy_id if ruling else "",
            active_sequence=ruling.sequence if ruling else 0,
        )
        message.header.stamp = to_time(now_ns)
        self._status.publish(message)

    def _diagnose(self, now_ns: int) -> None:
        executor = self._executor
        level = DiagnosticStatus.ERROR if executor.state is ExecutorState.FAULT else DiagnosticStatus.OK
        if executor.state in _WARNS:
            level = DiagnosticStatus.WARN
        values = {
            "fault": executor.fault_name.value if executor.fault_name else "",
            "intervention": executor.intervention,
            "chunks accepted": executor.counters.chunks_accepted,
            "chunks refused": executor.counters.chunks_refused,
            "deadline misses": self._deadline_misses,
            "scheduling": self._host.scheduling,
        }
        status = DiagnosticStatus(
            level=level,
            name=f"{self._host.node.get_name()}: commands",
            message=f"{executor.state.name.lower()}{': ' * bool(executor.message)}{executor.message}",
            hardware_id=executor.embodiment.name,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = to_time(now_ns)
        self._diagnostics.publish(message)

    @property
    def _deadline_misses(self) -> int:
        return self._ticks.missed + self._executor.counters.plans_withdrawn

    def _command_rate(self, now_ns: int) -> float:
        """Commands per second since the last status, or ticks that decided about them where those were more [Hz].

        A controller of trajectories is told only what changes; what is commanded is decided at every tick all the same.
        """
        sent_before, self._sent = self._sent, self._executor.counters.commands_sent
        commands = max(self._decided, self._sent - sent_before)
        then_ns, self._decided, self._told_ns = self._told_ns, 0, now_ns
        return commands / ((now_ns - then_ns) * 1e-9) if now_ns > then_ns else 0.0


def _doubles(values: Iterable[float]) -> array[float]:
    return array("d", values)
