"""The errors of the suite. Each message names what was expected and what was there."""

from __future__ import annotations

from collections.abc import Iterable


class VlaError(Exception):
    """Base of every error that a user of the suite can cause or can mend."""


class ConfigError(VlaError):
    """A configuration file is missing, is not YAML, or holds wrong, missing or unknown keys."""


class EmbodimentMismatch(VlaError):
    """Two things that must describe the same robot do not: a checkpoint, an episode, an embodiment, a message."""


class StreamError(VlaError):
    """A message does not hold what the embodiment declares for its stream."""


class ImageError(VlaError):
    """An image message cannot be decoded: unknown encoding, wrong size, or too few bytes."""


class ChunkError(VlaError):
    """An action chunk is malformed: wrong names, wrong shape, not finite, or without a usable time."""


class ChunkDiscarded(ChunkError):
    """An action chunk came later than it was conditioned on: what it goes on from is not what was executed."""


class LimitError(VlaError):
    """A motion would break a limit of the embodiment, or starts outside of it."""


class EpisodeError(VlaError):
    """An episode file cannot be written, or does not hold a complete episode of a known version."""


class CheckpointError(VlaError):
    """A checkpoint folder cannot be loaded, or does not fit."""


class PeerError(VlaError):
    """A peer on another machine refuses, or what it sent cannot be used."""


class PeerLost(VlaError):
    """A peer on another machine is gone or does not answer in time. It may be back later: whoever asked may ask again."""


def choice(expected: Iterable[str]) -> str:
    """Formats the things that would have been right, for an error message: ``'a', 'b' or 'c'``."""
    quoted = [f"'{name}'" for name in expected]
    if not quoted:
        return "nothing"
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " or " + quoted[-1]
