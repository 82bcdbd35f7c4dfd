"""Golden vectors: what the reference implementations gave, and the weights that they had, which are made from their names."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

# those of the families lie beside their tests; those that other packages' tests read too, at the root
FOLDERS = (Path(__file__).parent / "data", Path(__file__).parents[3] / "test" / "data" / "golden")


@dataclass(frozen=True)
class Golden:
    """A variant's description, its arrays (``in.*``, ``mid.*``, ``out.*``, ``table.*``) and its weights by checkpoint key."""

    description: dict[str, Any]
    arrays: dict[str, Tensor]
    weights: dict[str, Tensor]

    def those(self, prefix: str) -> dict[str, Tensor]:
        """The arrays whose names begin so, by the rest of their names."""
        return {name.removeprefix(prefix): value for name, value in self.arrays.items() if name.startswith(prefix)}


def read_golden(variant: str) -> Golden:
    """Reads a variant and makes its weights, of which number and sums are verified."""
    folder = next(folder for folder in FOLDERS if (folder / f"{variant}.json").is_file())
    description = json.loads((folder / f"{variant}.json").read_text())
    with np.load(folder / f"{variant}.npz", allow_pickle=False) as data:
        arrays = {name: torch.from_numpy(data[name]) for name in data.files}
    return Golden(description, arrays, _weights(description) if "weights" in description else {})


def standard_normal(seed: int, name: str, shape: tuple[int, ...] | list[int]) -> np.ndarray:
    """The numbers that belong to a name, float64."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(shape)


def _weights(description: dict[str, Any]) -> dict[str, Tensor]:
    entries = description["weights"]
    arrays = {
        key: _fill(description["seed"], key, *entry) for key, entry in entries.items() if entry[1] in ("normal", "abs")
    }
    arrays |= {
        key: arrays[rule.removeprefix("tie:")] for key, (_, rule, *_) in entries.items() if rule.startswith("tie:")
    }
    check = description["weights_check"]
    assert (len(arrays), sum(array.size for array in arrays.values())) == (check["arrays"], check["elements"])
    sums = [array.astype(np.float64).sum() for array in arrays.values()]
    magnitudes = [np.abs(array.astype(np.float64)).sum() for array in arrays.values()]
    np.testing.assert_allclose(sum(sums), check["sum"], rtol=1e-9)
    np.testing.assert_allclose(sum(magnitudes), check["abs_sum"], rtol=1e-9)
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


def _fill(seed: int, key: str, shape: list[int], rule: str, mean: float, std: float) -> np.ndarray:
    z = standard_normal(seed, key, shape)
    return np.asarray(mean + std * (np.abs(z) if rule == "abs" else z)).astype(np.float32)
