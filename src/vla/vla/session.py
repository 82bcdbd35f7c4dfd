"""A graph of its own for one job: processes in a ROS domain that nobody else uses, and an operator."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vla.environment import child_environment, reserved_domain_id
from vla.graph import Bringup, bringup_graph
from vla.supervisor import Supervisor

if TYPE_CHECKING:
    from vla.ros.operator import Operator


@dataclass(frozen=True)
class Session:
    """Running processes and the operator who works them."""

    supervisor: Supervisor
    operator: Operator
    logs: Path


@contextmanager
def session(arguments: Bringup, logs: Path | None = None) -> Iterator[Session]:
    """Brings a graph up, in a domain of its own, and takes it down again.

    Args:
        arguments: of the bringup.
        logs: folder for what the processes say; a new one among the temporary files if None.

    Raises:
        VlaError: the graph cannot be brought up; the message says which process ended and the last it said.
    """
    logs = logs or Path(tempfile.mkdtemp(prefix="vla-logs-"))
    graph = bringup_graph(arguments)
    with reserved_domain_id() as domain_id:
        environment = child_environment(domain_id=domain_id)
        os.environ.update(environment)  # this process joins the domain too; read when ROS starts
        from vla.ros.operator import Operator

        with Supervisor(graph.processes, environment, logs) as supervisor, Operator(supervisor.check) as operator:
            yield Session(supervisor, operator, logs)
