"""Demonstrations by the scripted expert, recorded as an operator would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from vla.ros.operator import Operator

_SETTLE_S = 0.3
_BEGIN_S = 0.1  # the expert's first trajectory is on its way when recording begins
_END_S = 0.5  # the hand leaves the object
_LIMIT_S = 20.0


@dataclass(frozen=True)
class Demonstration:
    """What came of one: its world, the file (empty if it was discarded), its rows, and the simulated time it took."""

    seed: int
    path: str
    steps: int
    success: bool
    duration_s: float


class RecorderToggle(Protocol):
    """Begins and ends an episode."""

    def start(self) -> None: ...

    def stop(self, success: bool) -> tuple[str, int]:
        """Ends the episode; one without success is discarded. Returns its file (empty if discarded) and its rows."""
        ...


class ServiceToggle:
    """The recorder's services, as a program uses them."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def start(self) -> None:
        self._operator.start_episode()

    def stop(self, success: bool) -> tuple[str, int]:
        made = self._operator.stop_episode("success" if success else "discarded")
        return made.path, made.steps


def record_demonstrations(
    operator: Operator, seeds: Iterable[int], toggle: RecorderToggle | None = None
) -> Iterator[Demonstration]:
    """Lets the expert demonstrate in each world; an episode in which it does not succeed is discarded.

    Args:
        operator: of a graph in lockstep with an expert and a recorder, paused.
        seeds: of the worlds.
        toggle: begins and ends the episodes; the recorder's services if None.
    """
    toggle = toggle or ServiceToggle(operator)
    for seed in seeds:
        operator.reset_world(seed)
        operator.run_simulation(_SETTLE_S)
        operator.let_expert_act()
        operator.run_simulation(_BEGIN_S)
        toggle.start()
        run = operator.run_simulation(_LIMIT_S, until_success=True)
        operator.run_simulation(_END_S)
        operator.let_expert_act(False)
        path, steps = toggle.stop(run.success)
        yield Demonstration(seed, path, steps, run.success, run.duration_s)
