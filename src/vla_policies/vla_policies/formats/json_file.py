"""JSON files that foreign checkpoints keep their settings in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vla_core.errors import CheckpointError

_LARGEST_FILE = 64 << 20  # a tokenizer of 250 000 pieces has half of that


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file with a JSON object.

    Raises:
        CheckpointError: it cannot be read, is too large to be one, or is something else.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise CheckpointError(
                f"{path}: expected JSON of at most {_LARGEST_FILE} bytes, found {path.stat().st_size}"
            )
        data = json.loads(path.read_text())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found a {type(data).__name__}")
    return data
