"""What the set-up has done so far, kept inside the environment so that both vanish together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FILE_NAME = "vla-setup.json"


class State:
    """Which stages are done, and for which input.

    Attributes:
        done: stage name to the key of the input that it was done for.
        running: the stage that was begun and not finished, if any.
    """

    def __init__(self, venv: Path) -> None:
        self._file = venv / FILE_NAME
        self.done: dict[str, str] = {}
        self.running: str | None = None
        with suppress(FileNotFoundError, ValueError):  # no environment yet, or a state cut short: begin anew
            kept = json.loads(self._file.read_text())
            self.done, self.running = kept["done"], kept["running"]

    @property
    def exists(self) -> bool:
        """Whether the environment was made by this set-up."""
        return self._file.exists()

    def begin(self, stage: str) -> None:
        self.running = stage
        self.done.pop(stage, None)
        self._write()

    def finish(self, stage: str, key: str) -> None:
        self.running = None
        self.done[stage] = key
        self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps({"done": self.done, "running": self.running}, indent=1))
        partial.replace(self._file)  # at once: an interruption leaves the old state or the new one


def digest(root: Path, files: Iterable[Path], *more: str) -> str:
    """A hash of names (relative to ``root``) and contents of files, and of further text."""
    sha = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        sha.update(f"{path.relative_to(root)}\0{len(content)}\0".encode() + content)
    sha.update("\0".join(more).encode())
    return sha.hexdigest()[:16]
