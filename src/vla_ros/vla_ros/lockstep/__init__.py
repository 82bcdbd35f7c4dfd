"""Lockstep: simulated time goes on only when everybody has done the work of the time before.

The simulator announces a tick: the time it has reached, and how many messages have been published on every topic so far, by
everybody. A participant waits until it has received that many, handles them and its due timers, and acknowledges with its own
counts, which are part of the next tick. A message is thus handled in the tick after the one it was published in, on any
machine and however slow, and a run is reproducible although DDS delivers when it likes.

::

    simulator    ──simulate──▶ tick k ───────────────────▶ all acks of k ──apply commands, simulate──▶ tick k+1
    participant                      └▶ receive, handle, publish ─▶ ack k ┘

Before tick 0 everybody says which topics it publishes and subscribes to, and waits until it has found its peers.
"""

from vla_ros.lockstep.leader import LockstepLeader
from vla_ros.lockstep.participant import LockstepParticipant
from vla_ros.lockstep.roster import LockstepError

__all__ = ["LockstepError", "LockstepLeader", "LockstepParticipant"]
