"""The small preset trains on recorded episodes, and is written, loaded and run as every policy."""

from __future__ import annotations

import numpy as np

import vla_policies
from vla_core.episodes import EpisodeReader
from vla_policies.training.cli import main


def test_the_preset_trains_and_loads_and_infers(tmp_path, record_reaching) -> None:
    for seed in range(3):
        record_reaching(tmp_path / "episodes", seed, 8)
    out = tmp_path / "out"
    options = ["--policy", "groot_small", "--steps", "2", "--device", "cpu"]
    assert main(["--episodes", str(tmp_path / "episodes"), "--out", str(out), *options]) == 0
    described = vla_policies.describe(out)
    assert (described["family"], described["head"], described["train_steps"]) == ("groot", "flow_matching_dit", 2)
    policy = vla_policies.load(out)
    with EpisodeReader(next((tmp_path / "episodes").glob("*.hdf5"))) as reader:
        first, again = (policy.infer(reader.observation(0)).actions for _ in range(2))
        assert first.shape == (45, 8)
        np.testing.assert_array_equal(first, again)
