"""What the states of command_node are called."""

from __future__ import annotations

from vla_msgs.msg import CommandStatus

COMMAND_STATES = {
    CommandStatus.UNCONFIGURED: "unconfigured",
    CommandStatus.READY: "ready",
    CommandStatus.SHADOW: "shadow",
    CommandStatus.ARMED: "armed",
    CommandStatus.RUNNING: "running",
    CommandStatus.HOLDING: "holding",
    CommandStatus.FAULT: "fault",
}
