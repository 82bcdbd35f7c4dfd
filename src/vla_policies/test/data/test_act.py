"""ACT's conventions: the same bytes as its loader gives, for every start step."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from vla_policies.data import EpisodeDataset, OnePerEpisode, WindowSpec, act_tensors, act_windows, window_loader


def as_act_loads(path: Path, start: int, cameras: tuple[str, ...]) -> tuple[torch.Tensor, ...]:
    """What ACT's EpisodicDataset makes of an episode and a start step, before its normalisation with statistics."""
    with h5py.File(path, "r") as root:
        actions = root["/action"]
        begin = start if root.attrs["sim"] else max(0, start - 1)
        rest = actions[begin:]
        padded = np.zeros(actions.shape, dtype=np.float32)
        padded[: len(rest)] = rest
        is_pad = np.zeros(len(actions))
        is_pad[len(rest) :] = 1
        qpos = root["/observations/qpos"][start]
        images = np.stack([root[f"/observations/images/{name}"][start] for name in cameras], axis=0)
    image = torch.einsum("k h w c -> k c h w", torch.from_numpy(images)) / 255.0
    return image, torch.from_numpy(qpos).float(), torch.from_numpy(padded).float(), torch.from_numpy(is_pad).bool()


def same_bytes(a: torch.Tensor, b: torch.Tensor) -> bool:
    return (a.dtype, a.shape) == (b.dtype, b.shape) and a.numpy().tobytes() == b.numpy().tobytes()


def require_same(dataset: EpisodeDataset, cameras: tuple[str, ...]) -> None:
    for episode, path in enumerate(dataset.paths):
        for start in range(int(dataset.rows.lengths[episode])):
            window = dataset.window(np.array([dataset.index_of(episode, start)]))
            for ours, theirs in zip(act_tensors(window), as_act_loads(path, start, cameras), strict=True):
                assert same_bytes(ours[0], theirs), (path, start)


@pytest.mark.parametrize("sim", [True, False])
@pytest.mark.parametrize(
    ("layout", "options"),
    [("chunked", {}), ("contiguous", {}), ("chunked", {"compression": "gzip"}),
     ("chunked", {"compression": "gzip", "shuffle": True})],
)  # fmt: skip
def test_acts_own_files(tmp_path, write_plain, sim, layout, options) -> None:
    for number in range(2):
        write_plain(tmp_path / f"episode_{number}.hdf5", 9, sim, layout, **options)
    cameras = ("wrist", "top")
    require_same(EpisodeDataset(tmp_path, act_windows(cameras)), cameras)


@pytest.mark.parametrize("images", ["raw", "lossless"])
def test_our_files(tmp_path, embodiment, kept_as, write, images) -> None:
    path = write(tmp_path, kept_as(embodiment, images, on_missing="mark"), 8, dropped={3}, marked={5: "scene"})
    require_same(EpisodeDataset(path, act_windows()), tuple(embodiment.cameras))


def test_the_shift_is_of_each_file(tmp_path, write_plain) -> None:
    paths = [write_plain(tmp_path / f"{sim}.hdf5", 6, sim) for sim in (True, False)]
    require_same(EpisodeDataset(paths, act_windows()), ("top", "wrist"))


def test_shorter_episodes_are_padded_to_the_longest(tmp_path, write_plain) -> None:
    paths = [write_plain(tmp_path / f"episode_{steps}.hdf5", steps) for steps in (4, 9)]
    dataset = EpisodeDataset(paths, act_windows())
    _, _, actions, is_pad = act_tensors(dataset.window(np.array([dataset.index_of(0, 1)])))
    _, _, expected, expected_is_pad = as_act_loads(paths[0], 1, ("top", "wrist"))
    assert same_bytes(actions[0, :4], expected)
    assert same_bytes(is_pad[0, :4], expected_is_pad)
    assert not actions[0, 4:].any()
    assert is_pad[0, 4:].all()


def test_jpeg_files_of_mobile_aloha(tmp_path, write_plain) -> None:
    path = write_plain(tmp_path / "episode_0.hdf5", 5, layout="jpeg", size=(16, 16))
    import cv2

    window = EpisodeDataset(path, WindowSpec(horizon=2)).window(np.arange(5))
    with h5py.File(path) as file:
        for step, row in enumerate(file["observations/images/top"]):
            expected = cv2.cvtColor(cv2.imdecode(row, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            np.testing.assert_array_equal(window.images["top"][step, 0], expected)


def test_batches_for_acts_training_loop(tmp_path, write_plain) -> None:
    paths = [write_plain(tmp_path / f"episode_{number}.hdf5", 6) for number in range(4)]
    dataset = EpisodeDataset(paths, act_windows())
    loader = window_loader(dataset, 4, OnePerEpisode(dataset, seed=3), finish=act_tensors)
    ((images, qpos, actions, is_pad),) = loader
    assert (images.shape, qpos.shape) == ((4, 2, 3, 12, 16), (4, 14))
    assert (actions.shape, is_pad.shape) == ((4, 6, 14), (4, 6))
