"""A recording's topics back into the graph of the current ROS domain, with their own timing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla.environment import child_environment
from vla.graph import Process, Value
from vla.replay.ros.players import PlaybackPlayer
from vla.ros.operator import Operator
from vla.supervisor import Supervisor
from vla_recorder.playback import PlaybackState, PlayedTopic, open_source
from vla_recorder.playback.opening import is_episode

_POLL_S = 0.1


@dataclass(frozen=True)
class Playback:
    """What was published.

    Attributes:
        path: of the bag or the episode.
        topics: by name.
        speed: 1 as recorded.
        messages: how many were published.
        duration_s: from the first to the last [s].
    """

    path: Path
    topics: Mapping[str, PlayedTopic]
    speed: float
    messages: int
    duration_s: float

    def to_json(self) -> dict[str, Any]:
        """The figures, as ``--json`` writes them. Nothing moves, so that there is nothing to compare."""
        return {
            "source": str(self.path),
            "kind": "episode" if is_episode(self.path) else "bag",
            "into": "graph",
            "speed": self.speed,
            "duration_s": self.duration_s,
            "rms_error_rad": None,
            "max_error_rad": None,
            "success": None,
            "limit_violations": None,
            "messages": self.messages,
            "topics": {topic.name: {"type": topic.type, "messages": topic.count} for topic in self.topics.values()},
        }


def publish(
    path: Path,
    topics: Sequence[str] = (),
    *,
    speed: float = 1.0,
    delay_s: float = 1.0,
    show: Callable[[str, str], None] | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Playback:
    """Publishes topics in the current domain until all was played.

    Args:
        path: of a bag or an episode.
        topics: only these; default all.
        delay_s: between the node's start and its first message, in which subscribers find it [s].
        show: takes a line of what the node says: name and line.
        on_progress: is told how much is done, 0 to 1.

    Raises:
        VlaError: the node ended; the message says the last it said.
    """
    source = open_source(path, topics)
    parameters: dict[str, Value] = {
        "path": str(path.resolve()),
        "mode": "topics",
        "speed": float(speed),
        "topics": list(topics) or [""],  # ROS has no empty list of strings
    }
    process = Process("playback_node", "vla_recorder", "playback_node", parameters)
    environment = child_environment()
    os.environ.update(environment)
    with Supervisor([process], environment, show=show) as supervisor, Operator(supervisor.check) as operator:
        player = PlaybackPlayer(operator, speed)
        total = player.progress.total
        time.sleep(delay_s)
        player.start()
        while (progress := player.progress).state is not PlaybackState.FINISHED:
            supervisor.check()
            on_progress(progress.played / max(1, total))
            time.sleep(_POLL_S)
    on_progress(1.0)
    duration_s = (progress.newest_ns - progress.first_ns) * 1e-9 / speed
    return Playback(path, source.topics, speed, progress.played, duration_s)
