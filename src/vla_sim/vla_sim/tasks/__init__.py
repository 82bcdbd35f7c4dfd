"""Tasks: what lies on the table, where it may lie, and when the work is done."""

from vla_sim.tasks.task import SuccessTest, Task, load_task

__all__ = ["SuccessTest", "Task", "load_task"]
