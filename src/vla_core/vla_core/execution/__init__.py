"""What a command_node decides: from chunks to the plans and gripper targets that are sent."""

from vla_core.execution.executor import Executor
from vla_core.execution.state import ExecutorState, Output

__all__ = ["Executor", "ExecutorState", "Output"]
