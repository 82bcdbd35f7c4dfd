"""Episodes on disk: one HDF5 file each, in the ALOHA layout, with our additions under ``/vla``. See docs/episode-format.md."""

from vla_core.episodes.background import BackgroundEpisodeWriter
from vla_core.episodes.beside import Beside, CommandState, NativeSamples, Rollout, RolloutChunk
from vla_core.episodes.folder import list_episodes
from vla_core.episodes.layout import bytes_per_second
from vla_core.episodes.metadata import EpisodeInfo, EpisodeMetadata, RecordingSummary, StreamSummary
from vla_core.episodes.reader import EpisodeReader
from vla_core.episodes.recovery import Recovery, recover_folder, recover_partial
from vla_core.episodes.schema import SCHEMA_VERSION
from vla_core.episodes.writer import Hdf5EpisodeWriter

__all__ = [
    "SCHEMA_VERSION",
    "BackgroundEpisodeWriter",
    "Beside",
    "CommandState",
    "EpisodeInfo",
    "EpisodeMetadata",
    "EpisodeReader",
    "Hdf5EpisodeWriter",
    "NativeSamples",
    "RecordingSummary",
    "Recovery",
    "Rollout",
    "RolloutChunk",
    "StreamSummary",
    "bytes_per_second",
    "list_episodes",
    "recover_folder",
    "recover_partial",
]
