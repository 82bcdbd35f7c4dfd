"""JSON files that foreign checkpoints keep their settings in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vla_core.errors import CheckpointError


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file with a JSON object.

    Raises:
        CheckpointError: it cannot be read, or is something else.
    """
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found a {type(data).__name__}")
    return data
