"""Normalisation: the references' numbers, and that forward and inverse undo each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vla_core import config
from vla_core.errors import ConfigError
from vla_policies.normalisation import IMAGENET, Normalisation, NormStats
from vla_policies.training.statistics import SMALLEST_STD, norm_stats

finite = st.floats(-1e6, 1e6)


@pytest.mark.parametrize("scheme", ["act_mean_std", "lerobot_mean_std"])
def test_schemes_give_the_references_numbers(scheme, normalisation_golden) -> None:
    arrays_ = {name: tensor.numpy() for name, tensor in normalisation_golden.arrays.items()}
    std = arrays_["in.std"]
    if scheme == "act_mean_std":  # which clips when it computes the statistics
        std = np.maximum(std, 1e-2)
    normalisation = Normalisation(scheme, NormStats(tuple(arrays_["in.mean"]), tuple(std)))
    normalised = normalisation.forward(arrays_["in.x"])
    np.testing.assert_allclose(normalised, arrays_[f"out.{scheme}.normalised"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        normalisation.inverse(normalised), arrays_[f"out.{scheme}.restored"], rtol=1e-9, atol=1e-9
    )
    unnormalised = normalisation.inverse(arrays_["in.y"])
    np.testing.assert_allclose(unnormalised, arrays_[f"out.{scheme}.unnormalised_y"], rtol=1e-9, atol=1e-9)


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
        ({"scheme": "quantiles", "stats": {"mean": [0.0], "std": [1.0]}}, "scheme: expected 'identity'"),
    ],
)
def test_unusable_statistics_are_refused(data, message) -> None:
    with pytest.raises(ConfigError) as caught:
        config.from_mapping(Normalisation, data, "policy")
    assert message in str(caught.value)


def test_imagenet_survives_the_way_through_yaml() -> None:
    assert config.from_mapping(Normalisation, config.to_mapping(IMAGENET), "copy") == IMAGENET
