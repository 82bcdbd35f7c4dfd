"""From chunks as policies output them to chunks that can be executed: docs/action_spaces.md."""

from vla_core.action_spaces.history import CommandedHistory
from vla_core.action_spaces.registry import command_space
from vla_core.action_spaces.space import CommandSpace, Resolved

__all__ = ["CommandSpace", "CommandedHistory", "Resolved", "command_space"]
