"""The folder of a demo: everything that it leaves behind, and nothing of anybody else's."""

from __future__ import annotations

import shutil
from pathlib import Path

from vla_core.errors import ConfigError

EPISODES, TRACE, LOGS = "episodes", "trace", "logs"
REPORT, VIDEO, FIGURES = "report.html", "video.mp4", "figures.json"

_MARK = "written-by-vla-demo.txt"
_MARK_TEXT = "The other files of this folder are those of './vla demo', which replaces them when it is run again.\n"


def clear_folder(folder: Path) -> None:
    """Makes the folder of a demo, or removes from it what an earlier demo left there.

    Raises:
        ConfigError: it holds files, but is not that of a demo; or it cannot be written.
    """
    try:
        if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).is_file():
            raise ConfigError(
                f"{folder}: expected a new or empty folder, or that of an earlier demo, found other files"
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARK).write_text(_MARK_TEXT)
        for name in (EPISODES, TRACE, LOGS):
            if (folder / name).exists():
                shutil.rmtree(folder / name)
        for name in (REPORT, VIDEO, FIGURES):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: expected a folder to write to: {error.strerror or error}") from error
