"""Transforms between what the robot gives and takes and what a network sees and outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vla_core.errors import EmbodimentMismatch
from vla_policies.normalisation import IMAGENET, Normalisation
from vla_policies.spec import ImageSize, PolicySpec
from vla_policies.transforms import ActionReference, images_to_tensor, resize_image, tensor_to_images

CPU = torch.device("cpu")
positions = st.floats(-3.0, 3.0)


def spec(action_reference: str) -> PolicySpec:
    return PolicySpec({"scene": ImageSize(32, 24)}, ("qpos",), 5, action_reference)


@given(arrays(np.uint8, (2, 4, 6, 3)))
def test_images_survive_the_way_into_the_network_and_back(images) -> None:
    for normalisation in (IMAGENET, Normalisation("identity")):
        tensor = images_to_tensor(images, normalisation, CPU)
        assert (tensor_to_images(tensor, normalisation) == images).all()


def test_images_are_normalised_per_rgb_channel() -> None:
    image = np.zeros((1, 1, 1, 3), np.uint8)
    image[..., 0] = 255
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    np.testing.assert_allclose(images_to_tensor(image, IMAGENET, CPU)[0, :, 0, 0], expected, rtol=1e-5)


def test_shrinking_an_image_averages_areas() -> None:
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, ::2] = 200  # finer than the small image can show
    small = resize_image(image, ImageSize(width=4, height=2))
    assert (small == 100).all()


def test_an_image_of_the_right_size_is_left_alone() -> None:
    image = np.zeros((24, 32, 3), np.uint8)
    assert resize_image(image, ImageSize(width=32, height=24)) is image


@given(arrays(np.float64, (2, 5, 8), elements=positions), arrays(np.float64, (2, 8), elements=positions))
def test_offsets_from_the_positions_are_undone(embodiment, actions, qpos) -> None:
    reference = ActionReference.of(spec("qpos"), embodiment)
    restored = reference.to_actions(reference.to_offsets(actions, qpos), qpos)
    np.testing.assert_allclose(restored, actions, atol=1e-12)


def test_only_actions_with_a_position_of_their_name_become_offsets(embodiment) -> None:
    reference = ActionReference.of(spec("qpos"), embodiment)
    offsets = reference.to_offsets(np.ones((1, 5, 8)), np.full((1, 8), 0.25))
    assert (offsets[..., :7] == 0.75).all()
    assert (offsets[..., 7] == 1.0).all()  # the gripper's target is not the finger's position


def test_absolute_actions_are_left_alone(embodiment) -> None:
    reference = ActionReference.of(spec("absolute"), embodiment)
    actions = np.ones((1, 5, 8))
    assert (reference.to_offsets(actions, np.ones((1, 8))) == actions).all()


def test_actions_that_are_named_stay_absolute_among_offsets(embodiment) -> None:
    first = embodiment.action_names[0]
    mixed = PolicySpec({"scene": ImageSize(32, 24)}, ("qpos",), 5, "qpos", absolute_actions=(first,))
    mixed.require_fits(embodiment, "policy")
    offsets = ActionReference.of(mixed, embodiment).to_offsets(np.ones((1, 5, 8)), np.full((1, 8), 0.25))
    assert (offsets[..., 0] == 1.0).all()
    assert (offsets[..., 1:7] == 0.75).all()
    with pytest.raises(EmbodimentMismatch, match="needs the action 'thumb'"):
        PolicySpec({}, ("qpos",), 5, "qpos", absolute_actions=("thumb",)).require_fits(embodiment, "policy")
