"""Demonstrations by the scripted expert, recorded as an operator would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vla.ros.operator import Operator

_SETTLE_S = 0.3
_BEGIN_S = 0.1  # the expert's first trajectory is on its way when recording begins
_END_S = 0.5  # the hand leaves the object
_LIMIT_S = 20.0


@dataclass(frozen=True)
class Demonstration:
    """What came of one: the file (empty if it was discarded), its rows, and the simulated time it took."""

    path: str
    steps: int
    success: bool
    duration_s: float


def record_demonstrations(operator: Operator, seeds: Iterable[int]) -> Iterator[Demonstration]:
    """Lets the expert demonstrate in each world; an episode in which it does not succeed is discarded.

    Args:
        operator: of a graph in lockstep with an expert and a recorder, paused.
        seeds: of the worlds.
    """
    for seed in seeds:
        operator.reset_world(seed)
        operator.run_simulation(_SETTLE_S)
        operator.let_expert_act()
        operator.run_simulation(_BEGIN_S)
        operator.start_episode()
        run = operator.run_simulation(_LIMIT_S, until_success=True)
        operator.run_simulation(_END_S)
        operator.let_expert_act(False)
        made = operator.stop_episode("success" if run.success else "discarded")
        yield Demonstration(made.path, made.steps, run.success, run.duration_s)
