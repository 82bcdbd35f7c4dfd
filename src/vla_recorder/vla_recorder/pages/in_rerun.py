"""An episode in the Rerun viewer, where it is installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from vla_core.episodes import EpisodeReader
from vla_recorder.formats.conversion import Progress
from vla_recorder.stream_values import stream_values


def rerun_is_installed() -> bool:
    return find_spec("rerun") is not None


def show_in_rerun(path: Path, progress: Progress, save: Path | None = None) -> None:
    """Sends an episode to Rerun's viewer, which is opened if need be.

    Args:
        path: the episode.
        progress: is told how far it is.
        save: a file for Rerun instead of its viewer.

    Raises:
        EpisodeError: the episode cannot be read.
    """
    rr: Any = import_module("rerun")
    rr.init(f"vla_{path.stem}", spawn=save is None)
    if save is not None:
        rr.save(str(save))
    with EpisodeReader(path) as episode:
        embodiment, stamps, prompts = episode.info.metadata.embodiment, episode.stamps_ns, episode.prompts
        vectors = {f"stream/{name}": stream_values(episode, name) for name in embodiment.streams}
        vectors |= {group: episode.proprioception(group) for group in embodiment.proprioception}
        vectors |= {"action": episode.actions, "policy_drives": episode.policy_drives[:, None].astype(np.float64)}
        ages = {f"age_ms/{name}": episode.stream_ages_ns(name) * 1e-6 for name in embodiment.sources}
        progress.begin(path.name, len(episode))
        for index in range(len(episode)):
            rr.set_time("step", sequence=index)
            rr.set_time("time", duration=float(stamps[index] - stamps[0]) * 1e-9)
            for role in embodiment.cameras:
                rr.log(f"camera/{role}", rr.Image(episode.image(role, index)).compress(jpeg_quality=85))
            for role, camera in embodiment.depth_cameras.items():
                meter = 1000.0 if camera.unit == "mm" else 1.0
                rr.log(f"depth/{role}", rr.DepthImage(episode.depth(role, index), meter=meter))
            for name, rows in vectors.items():
                rr.log(name, rr.Scalars(rows[index]))
            for name, values in ages.items():
                rr.log(name, rr.Scalars(values[index]))
            if index == 0 or prompts[index] != prompts[index - 1]:
                rr.log("prompt", rr.TextLog(prompts[index]))
            progress.advance()
