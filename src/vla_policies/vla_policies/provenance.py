"""Where weights come from, for their configuration file."""

from __future__ import annotations

import platform
import re
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

MODEL_CARD = "README.md"
_LICENSES = ("LICENSE*", "LICENCE*", "NOTICE*", "COPYING*")
_MOST_BYTES = 1 << 20
_PACKAGES = ("vla_policies", "torch", "numpy")


def now() -> str:
    """The time, ISO 8601, UTC, in whole seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide about numbers; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def license_of(checkpoint: Path) -> str:
    """The license that the model card in a checkpoint's folder names, as those of Hugging Face do; empty: none."""
    card = _folder(checkpoint) / MODEL_CARD
    if not card.is_file() or card.stat().st_size > _MOST_BYTES:
        return ""
    head = re.match(r"---\s*\n(.*?)\n---", card.read_text(errors="replace"), re.DOTALL)
    named = re.search(r"^license:\s*['\"]?([\w.+-]+)", head.group(1), re.MULTILINE) if head else None
    return named.group(1) if named else ""


def license_files(checkpoint: Path) -> list[Path]:
    """Texts of licenses in a checkpoint's folder."""
    found = {file for pattern in _LICENSES for file in _folder(checkpoint).glob(pattern)}
    return sorted(file for file in found if file.is_file() and file.stat().st_size <= _MOST_BYTES)


def _folder(checkpoint: Path) -> Path:
    return checkpoint.parent if checkpoint.is_file() else checkpoint
