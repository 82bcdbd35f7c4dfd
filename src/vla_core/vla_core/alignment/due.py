"""A step that is due and not decided yet."""

from __future__ import annotations

from vla_core.alignment.monitor import JUMP_NS


class DueStep:
    """The time of a step, and what is known about the clock of that time.

    Attributes:
        time_ns: the time of the step, on the clock of the stamps [ns].
        arrival_ns: when its reference image came, on the receiver's clock; the time itself on a fixed grid [ns].
        newest_lead_ns: a stamp that is farther ahead of its arrival is of another clock than the step's [ns].
        usual: whether the step's clock and the receiver's agree, as far as one can tell.
        seen_ns: when all the steps before it had come, and it: what came until then could always be seen [ns].
    """

    __slots__ = ("_waits_from_ns", "arrival_ns", "newest_lead_ns", "seen_ns", "time_ns", "usual")

    def __init__(self, time_ns: int, arrival_ns: int, lead_ns: int = 0) -> None:
        """Makes one. ``lead_ns`` is how far its clock is ahead of the receiver's, less what a message takes [ns]."""
        self.time_ns = time_ns
        self.arrival_ns = arrival_ns
        self.newest_lead_ns = lead_ns + JUMP_NS
        self.usual = -JUMP_NS <= lead_ns <= JUMP_NS
        self.seen_ns = arrival_ns
        # where the clocks differ, waiting is counted from the arrival: it must be over in time whatever the stamps say
        self._waits_from_ns = time_ns if self.usual else arrival_ns

    def until_ns(self, wait_ns: int) -> int:
        """The last arrival that counts for a stream which is waited for so long [ns]."""
        waited_ns = self._waits_from_ns + wait_ns
        return waited_ns if waited_ns > self.seen_ns else self.seen_ns
