"""CrossFormer at its published size has the parameters of the published checkpoint, and names survive the way there and back."""

from __future__ import annotations

import pytest
import torch
from recipe import read_golden

from vla_policies.crossformer.config import PUBLISHED_ENDS, Trunk
from vla_policies.crossformer.keys import from_flax, to_flax
from vla_policies.crossformer.network import CrossFormer

Shapes = dict[str, tuple[int, ...]]

STAGE_WIDTHS = (64, 128, 256, 512)
TRUNK = "crossformer_transformer/"
PUBLISHED_MILLIONS = 130  # of parameters, by the paper


def dense(path: str, *shape: int) -> Shapes:
    return {f"{path}/kernel": shape, f"{path}/bias": shape[-1:]}


def norm(path: str, channels: int) -> Shapes:
    return {f"{path}/scale": (channels,), f"{path}/bias": (channels,)}


def unit(path: str, channels_in: int, width: int, first: bool) -> Shapes:
    shapes = {f"{path}/conv1/kernel": (1, 1, channels_in, width), **norm(f"{path}/gn1", width)}
    shapes |= {f"{path}/conv2/kernel": (3, 3, width, width), **norm(f"{path}/gn2", width)}
    shapes |= {f"{path}/conv3/kernel": (1, 1, width, 4 * width), **norm(f"{path}/gn3", 4 * width)}
    if first:
        shapes |= {f"{path}/conv_proj/kernel": (1, 1, channels_in, 4 * width), **norm(f"{path}/gn_proj", 4 * width)}
    return shapes


def encoder(group: str, channels_in: int, film: bool) -> Shapes:
    path = f"{TRUNK}observation_tokenizers_{group}/{'ResNet26FILM_0' if film else 'ResNet26_0'}"
    shapes: Shapes = {f"{path}/conv_root/kernel": (7, 7, channels_in, 64), **norm(f"{path}/gn_root", 64)}
    channels = 64
    for block, width in enumerate(STAGE_WIDTHS, start=1):
        shapes |= unit(f"{path}/block{block}/unit1", channels, width, first=True)
        shapes |= unit(f"{path}/block{block}/unit2", 4 * width, width, first=False)
        channels = 4 * width
    if film:
        for number, width in enumerate((512, 1024, 2048)):
            for branch in (0, 1):
                shapes |= dense(f"{path}/FilmConditioning_{number}/Dense_{branch}", 512, width)
    return shapes


def layer(number: int) -> Shapes:
    path = f"{TRUNK}BlockTransformer_0/Transformer_0/encoderblock_{number}"
    attention = f"{path}/MultiHeadDotProductAttention_0"
    shapes = {**norm(f"{path}/LayerNorm_0", 512), **norm(f"{path}/LayerNorm_1", 512)}
    for part in ("query", "key", "value"):
        shapes |= {f"{attention}/{part}/kernel": (512, 8, 64), f"{attention}/{part}/bias": (8, 64)}
    shapes |= dense(f"{attention}/out", 8, 64, 512)
    shapes |= dense(f"{path}/MlpBlock_0/Dense_0", 512, 2048)
    return shapes | dense(f"{path}/MlpBlock_0/Dense_1", 2048, 512)


def published() -> Shapes:
    shapes: Shapes = {}
    for group, channels_in, film in (
        ("primary", 6, True),
        ("high", 6, True),
        ("nav", 6, False),
        ("left", 3, True),
        ("right", 3, True),
    ):
        shapes |= encoder(group, channels_in, film)
        shapes |= dense(f"{TRUNK}obs_{group}_projection", 2048, 512)
        shapes[f"{TRUNK}obs_{group}_pos_embedding"] = (1, 10, 49, 512)
    for group, size in (("bimanual", 14), ("quadruped", 46)):
        shapes |= dense(f"{TRUNK}obs_{group}_projection", 1, 512)
        shapes[f"{TRUNK}obs_{group}_pos_embedding"] = (1, 10, size, 512)
    for head, tokens, actions in (("bimanual", 100, 14), ("single_arm", 4, 7), ("nav", 4, 2), ("quadruped", 1, 12)):
        shapes[f"{TRUNK}readout_{head}_pos_embedding"] = (1, 10, tokens, 512)
        shapes |= dense(f"heads_{head}/mean_proj", 512, actions)
    for number in range(12):
        shapes |= layer(number)
    return shapes | norm(f"{TRUNK}BlockTransformer_0/Transformer_0/encoder_norm", 512)


@pytest.fixture(scope="module")
def skeleton() -> CrossFormer:
    with torch.device("meta"):
        return CrossFormer(Trunk(), PUBLISHED_ENDS)


def test_published_keys_and_shapes(skeleton) -> None:
    ours = {path: tuple(tensor.shape) for path, tensor in to_flax(skeleton.state_dict(), attention_heads=8).items()}
    expected = published()
    assert ours == expected
    parameters = sum(parameter.numel() for parameter in skeleton.parameters())
    assert round(parameters / 1e6) == PUBLISHED_MILLIONS


def test_every_published_path_has_a_name_of_its_own(skeleton) -> None:
    there = {path: torch.empty(shape, device="meta") for path, shape in published().items()}
    ours = from_flax(there)
    assert {name: tensor.shape for name, tensor in ours.items()} == {
        name: tensor.shape for name, tensor in skeleton.state_dict().items()
    }
    assert len(ours) == len(there)


def test_values_survive_the_way_there_and_back() -> None:
    golden = read_golden("crossformer")
    there = {path: value for path, value in golden.weights.items() if not path.startswith("standalone_film/")}
    back = to_flax(from_flax(there), golden.description["config"]["heads"])
    assert back.keys() == there.keys()
    assert all(torch.equal(back[path], value) for path, value in there.items())


def test_an_unknown_path_keeps_its_name() -> None:
    strange = {
        "crossformer_transformer/task_language_projection/kernel": torch.zeros(2, 3),
        "opt_state": torch.zeros(1),
    }
    assert set(from_flax(strange)) == set(strange)
