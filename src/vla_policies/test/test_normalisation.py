"""Normalisation: the references' numbers, and that forward and inverse undo each other."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vla_core import config
from vla_core.errors import ConfigError
from vla_policies.normalisation import IMAGENET, SCHEMES, Normalisation, NormStats
from vla_policies.training.statistics import SMALLEST_STD, norm_stats

finite = st.floats(-1e6, 1e6)


def arrays_of(golden) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in golden.arrays.items()}


def golden_normalisation(scheme: str, values: dict[str, np.ndarray], use_mask: bool = True) -> Normalisation:
    """A scheme with the statistics of the golden file that it wants."""
    wanted = {name: tuple(values[f"in.{name}"].tolist()) for name in SCHEMES[scheme].needs}
    if scheme == "act_mean_std":  # which clips when it computes the statistics
        wanted["std"] = tuple(np.maximum(values["in.std"], 1e-2).tolist())
    if use_mask and SCHEMES[scheme].masks:
        wanted["mask"] = tuple(values["in.mask"].tolist())
    return Normalisation(scheme, NormStats(**wanted))


# LeRobot's port of GR00T has the equations of the original with the bounds and their difference rounded to 32 bits, which is
# an error relative to the bounds (of order 1), not to results near 0
FORK = "groot_fork_min_max"
GOLDEN = Path(__file__).parents[3] / "test" / "data" / "golden"
GOLDEN_SCHEMES = json.loads((GOLDEN / "normalisation.json").read_text())["schemes"]


@pytest.mark.parametrize("name", GOLDEN_SCHEMES)
def test_schemes_give_the_references_numbers(name, normalisation_golden) -> None:
    values = arrays_of(normalisation_golden)
    scheme, tolerance = ("groot_min_max", 2e-7) if name == FORK else (name, 1e-9)
    normalisation = golden_normalisation(scheme, values)
    close = partial(np.testing.assert_allclose, rtol=tolerance, atol=tolerance)
    normalised = normalisation.forward(values["in.x"])
    close(normalised, values[f"out.{name}.normalised"])
    close(normalisation.inverse(normalised), values[f"out.{name}.restored"])
    close(normalisation.inverse(values["in.y"]), values[f"out.{name}.unnormalised_y"])
    assert SCHEMES[scheme].masks == GOLDEN_SCHEMES[name]["mask"]


@pytest.mark.parametrize("name", ["oft_bounds", "oft_bounds_q99"])
@pytest.mark.parametrize(("use_mask", "suffix"), [(True, ""), (False, "_no_mask")])
def test_proprioception_of_oft_is_clipped_in_every_dimension(name, use_mask, suffix, normalisation_golden) -> None:
    values = arrays_of(normalisation_golden)
    scheme = name.replace("oft_", "oft_proprio_")
    normalised = golden_normalisation(scheme, values, use_mask).forward(values["in.x"])
    expected = values[f"out.{name}.proprio_normalised{suffix}"]
    np.testing.assert_allclose(normalised, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["openpi_mean_std", "openpi_quantiles"])
def test_vectors_of_openpi_may_have_another_size_than_the_statistics(name, normalisation_golden) -> None:
    values = arrays_of(normalisation_golden)
    normalisation = golden_normalisation(name, values)
    padded = normalisation.inverse(values["in.model_output_padded"])
    np.testing.assert_allclose(padded, values[f"out.{name}.unnormalised_padded_output"], rtol=1e-9, atol=1e-9)
    short = values[f"out.{name}.normalised_short_x"]
    np.testing.assert_allclose(normalisation.forward(values["in.x"][:, : short.shape[1]]), short, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scheme", [name for name in SCHEMES if name not in ("groot_binary", "joined")])
@given(values=arrays(np.float64, (5, 3), elements=st.floats(-1.0, 1.0)))
def test_inverse_undoes_forward_inside_of_the_bounds(scheme, values) -> None:
    stats = NormStats(
        mean=(0.5, -3.0, 10.0), std=(0.01, 2.0, 30.0), min=(-2, -3, -4), max=(2, 3, 4), q01=(-1.5,) * 3, q99=(1.5,) * 3
    )
    normalisation = Normalisation(scheme, stats if SCHEMES[scheme].needs else None)
    restored = normalisation.inverse(normalisation.forward(values))
    np.testing.assert_allclose(restored, values, rtol=1e-5, atol=1e-5)  # some add their epsilon in one direction only


def test_binary_is_on_above_one_half() -> None:
    binary = Normalisation("groot_binary", NormStats(min=(0.0,) * 4, max=(1.0,) * 4))
    assert binary.forward(np.array([0.0, 0.5, 0.51, 2.0])).tolist() == [0, 0, 1, 1]


def test_parts_of_a_vector_have_schemes_of_their_own() -> None:
    arm = Normalisation("groot_min_max", NormStats(min=(0.0, -1.0), max=(2.0, 1.0)))
    gripper = Normalisation("groot_binary", NormStats(min=(0.0,), max=(1.0,)))
    whole = Normalisation("joined", parts=(arm, gripper))
    assert whole.size == 3
    assert whole.forward(np.array([[1.0, 0.5, 0.7]])).tolist() == [[0.0, 0.5, 1.0]]
    assert whole.inverse(np.array([[0.0, 0.5, 0.2]])).tolist() == [[1.0, 0.5, 0.0]]
    assert config.from_mapping(Normalisation, config.to_mapping(whole), "copy") == whole


def test_statistics_of_radians_are_those_of_act(normalisation_golden) -> None:
    episodes = normalisation_golden.arrays["in.episodes"].numpy()
    stats = norm_stats(episodes.reshape(-1, episodes.shape[-1]), ["rad"] * episodes.shape[-1])
    np.testing.assert_allclose(stats.mean, normalisation_golden.arrays["out.act_stats.mean"].numpy(), rtol=1e-8)
    np.testing.assert_allclose(stats.std, normalisation_golden.arrays["out.act_stats.std"].numpy(), rtol=1e-8)


def test_a_dimension_that_stands_still_gets_the_smallest_std_of_its_unit() -> None:
    stats = norm_stats(np.full((10, 2), 0.02), ["rad", "m"])
    assert stats.std == (SMALLEST_STD["rad"], SMALLEST_STD["m"])


def test_a_gripper_in_metres_keeps_its_own_std() -> None:
    stats = norm_stats(np.array([[0.0], [0.008], [0.0], [0.008]]), ["m"])
    assert stats.std[0] == pytest.approx(np.std([0.0, 0.008, 0.0, 0.008], ddof=1))


@given(arrays(np.float64, (5, 3), elements=finite))
def test_inverse_undoes_forward(values) -> None:
    normalisation = Normalisation("act_mean_std", NormStats((0.5, -3.0, 100.0), (0.01, 2.0, 30.0)))
    np.testing.assert_allclose(normalisation.inverse(normalisation.forward(values)), values, rtol=1e-9, atol=1e-9)


def test_identity_changes_nothing() -> None:
    values = np.array([[1.0, -2.0]])
    assert (Normalisation("identity").forward(values) == values).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"scheme": "act_mean_std"}, "expected statistics exactly if the scheme is not 'identity', found None"),
        ({"scheme": "identity", "stats": {"mean": [0.0], "std": [1.0]}}, "expected statistics exactly if"),
        ({"scheme": "act_mean_std", "stats": {"mean": [0.0], "std": [0.0]}}, "expected stds > 0"),
        (
            {"scheme": "act_mean_std", "stats": {"mean": [0.0], "std": [1.0, 1.0]}},
            "as many means as stds, found 1 and 2",
        ),
        ({"scheme": "act_mean_std", "stats": {"mean": [float("nan")], "std": [1.0]}}, "expected finite means"),
        (
            {"scheme": "joined", "stats": {"mean": [0.0], "std": [1.0]}},
            "expected parts exactly if the scheme is 'joined'",
        ),
        ({"scheme": "joined", "parts": [{"scheme": "identity"}]}, "expected parts with statistics"),
        ({"scheme": "identity", "parts": [{"scheme": "identity"}]}, "expected parts exactly if"),
        ({"scheme": "groot_q99", "stats": {"mean": [0.0], "std": [1.0]}}, "['q01', 'q99'] with 'groot_q99', found no"),
        ({"scheme": "groot_q99", "stats": {"q01": [0.0], "q99": [-1.0]}}, "q01 <= q99"),
        ({"scheme": "groot_q99", "stats": {"q01": [0.0], "q99": [1.0], "mask": [True]}}, "expected no mask"),
        ({"scheme": "oft_bounds", "stats": {"min": [0.0], "max": [1.0], "mask": [True] * 2}}, "statistics of one size"),
        ({"scheme": "oft_bounds", "stats": {"mask": [True]}}, "expected statistics of one size"),
        ({"scheme": "quantiles", "stats": {"mean": [0.0], "std": [1.0]}}, "scheme: expected 'identity'"),
    ],
)
def test_unusable_statistics_are_refused(data, message) -> None:
    with pytest.raises(ConfigError) as caught:
        config.from_mapping(Normalisation, data, "policy")
    assert message in str(caught.value)


def test_only_what_is_known_is_written() -> None:
    normalisation = Normalisation("oft_bounds", NormStats(min=(0.0,), max=(1.0,), mask=(False,)))
    plain = config.to_mapping(normalisation)
    assert plain["stats"] == {"min": [0.0], "max": [1.0], "mask": [False]}
    assert config.from_mapping(Normalisation, plain, "copy") == normalisation


def test_imagenet_survives_the_way_through_yaml() -> None:
    assert config.from_mapping(Normalisation, config.to_mapping(IMAGENET), "copy") == IMAGENET
