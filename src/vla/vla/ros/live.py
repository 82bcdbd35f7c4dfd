"""Statuses of now, for somebody who has only just come."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from vla_msgs.msg import CommandStatus, PolicyStatus

from vla.ros.operator import Operator, OperatorError
from vla_ros import names, qos

_LIVE_S = 1.0  # they come five times a second, and oftener


def live_statuses(operator: Operator) -> tuple[PolicyStatus, CommandStatus]:
    """The statuses of policy_node and command_node.

    Latched ones reach seconds back and come oldest first, so that the newest of them is not known before all have come. Live
    ones are missing only where simulated time stands still, and there the latched ones do not change.

    Raises:
        OperatorError: one of the nodes is not there.
    """
    live: dict[str, Any] = {}
    for topic, kind in ((names.POLICY_STATUS, PolicyStatus), (names.COMMAND_STATUS, CommandStatus)):
        operator.listen(kind, topic, partial(live.__setitem__, topic), qos.command())
    operator.policy, operator.command  # noqa: B018  waits for both nodes
    with suppress(OperatorError):
        operator.wait_until(lambda: len(live) == 2, "live statuses", _LIVE_S)
    return live.get(names.POLICY_STATUS, operator.policy), live.get(names.COMMAND_STATUS, operator.command)
