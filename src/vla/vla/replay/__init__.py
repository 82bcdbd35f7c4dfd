"""``vla replay``: an episode or a bag back into the simulated robot, or into the graph."""

from vla.replay.into_sim import Replay, ReplayFailed, bringup_for, replay
from vla.replay.recording import Recording, read_recording
from vla.replay.tracking import Tracking

__all__ = ["Recording", "Replay", "ReplayFailed", "Tracking", "bringup_for", "read_recording", "replay"]
