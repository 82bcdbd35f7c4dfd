"""What a playback_node plays: the messages of a bag or the streams of an episode, each when its time has come. No ROS here."""

from vla_recorder.playback.bag_source import BagSource
from vla_recorder.playback.episode_source import EpisodeSource
from vla_recorder.playback.opening import open_source
from vla_recorder.playback.progress import PlaybackProgress, PlaybackState
from vla_recorder.playback.schedule import Schedule, Timeline
from vla_recorder.playback.source import Event, PlaybackError, PlaybackSource, PlayedTopic

__all__ = [
    "BagSource",
    "EpisodeSource",
    "Event",
    "PlaybackError",
    "PlaybackProgress",
    "PlaybackSource",
    "PlaybackState",
    "PlayedTopic",
    "Schedule",
    "Timeline",
    "open_source",
]
