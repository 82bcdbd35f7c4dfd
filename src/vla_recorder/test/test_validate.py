"""Validation names every deviation from the format, and finds none in what the recorder writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from vla_recorder.formats.validate import deviations


@pytest.mark.parametrize("images", ["raw", "jpeg", "lossless"])
def test_an_episode_without_fault(tmp_path: Path, small, embodied, images: str) -> None:
    assert deviations(small(tmp_path, embodied(images), policy_id="act")) == []


def _delete(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]

    return change


def _attribute(name: str, value: object, place: str = "vla") -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[place].attrs[name] = value

    return change


def _without(name: str, place: str = "vla") -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[place].attrs[name]

    return change


def _put(name: str, row: int, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[name][row] = value

    return change


def _of_type(name: str, dtype: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        values = file[name][()].astype(dtype)
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(attributes)

    return change


FAR = {
    "topic": "/depth",
    "width": 32,
    "height": 24,
    "rate_hz": 10,
    "encoding": "16UC1",
    "unit": "mm",
    "images": "lossless",
    "align": {"method": "nearest", "tolerance_ms": 1},
}

CHANGES = {
    "attribute /sim: missing": _without("sim", "/"),
    "attribute /sim: expected true, found false": _attribute("sim", False, "/"),
    "attribute /vla 'schema': expected 'vla/episode/1', found 'vla/episode/9'": _attribute("schema", "vla/episode/9"),
    "attribute /vla 'complete': expected true, found false": _attribute("complete", False),
    "attribute /vla 'prompt': expected a text, found none": _without("prompt"),
    "attribute /vla 'steps': expected a number, found none": _without("steps"),
    "attribute /vla 'robot': expected 'sim', 'mock' or 'real', found 'toy'": _attribute("robot", "toy"),
    "attribute /vla 'created': expected a time as ISO 8601": _attribute("created", "yesterday"),
    "attribute /vla 'streams': expected JSON": _attribute("streams", "{"),
    "attribute /vla 'embodiment': expected an embodiment": _attribute("embodiment", json.dumps({"name": "x"})),
    "/action: missing": _delete("action"),
    "/action: expected float64 of shape (12, 3), found float32 of shape (12, 3)": _of_type("action", "float32"),
    "/vla/streams/scene/age_ns: missing": _delete("vla/streams/scene/age_ns"),
    "/observations/images/wrist: missing": _delete("observations/images/wrist"),
    "/action: attribute 'names': expected": _attribute("names", "[]", "action"),
    "/observations/images/scene: attribute 'color_order': expected 'rgb', found 'bgr'": _attribute(
        "color_order", "bgr", "observations/images/scene"
    ),
    "/extra: expected no such dataset": lambda file: file.create_dataset("extra", data=[1]),
    "/vla/stamp_ns: not later than the step before at step 4": _put("vla/stamp_ns", 4, 5),
    "/vla/marker: expected 2 end steps, found 3": _put("vla/marker", 9, 1),
    "/vla/marker: neither 0 nor 1 at step 3": _put("vla/marker", 3, 7),
    "/vla/streams/state/age_ns: not the time of the step minus the source's stamp at step 2": _put(
        "vla/streams/state/age_ns", 2, 5
    ),
    "/vla/policy_drives: expected 0 or 1, found 3 at step 5": _put("vla/policy_drives", 5, 3),
    "/vla/policy_drives: missing": _delete("vla/policy_drives"),
    "/vla/streams/wrist/valid: expected 0 or 1, found 2 at step 0": _put("vla/streams/wrist/valid", 0, 2),
    "/vla/prompt_index: expected an index below 2, found 9 at step 2": _put("vla/prompt_index", 2, 9),
    "attribute /vla 'prompts': expected a JSON list of texts, the prompt first": _attribute("prompts", '["other"]'),
    "/observations/depth/far: missing": _delete("observations/depth/far"),
    "/vla/native/force/value: missing": _delete("vla/native/force/value"),
    "/observations/qpos: infinite value at step 1": _put("observations/qpos", 1, np.inf),
}


@pytest.mark.parametrize("expected", list(CHANGES))
def test_a_deviation_is_named(tmp_path: Path, small, expected: str) -> None:
    path = small(tmp_path)
    with h5py.File(path, "a") as file:
        CHANGES[expected](file)
    found = deviations(path)
    assert any(line.startswith(expected) for line in found), found


def test_all_deviations_are_named_at_once(tmp_path: Path, small) -> None:
    path = small(tmp_path)
    with h5py.File(path, "a") as file:
        for expected in ("/action: missing", "attribute /sim: missing", "/extra: expected no such dataset"):
            CHANGES[expected](file)
    assert len(deviations(path)) == 3


def test_ages_beyond_the_tolerance_are_named_unless_they_are_marked(tmp_path: Path, small) -> None:
    path = small(tmp_path)
    with h5py.File(path, "a") as file:
        file["vla/streams/wrist/valid"][3] = 1  # its age is 90 ms
    assert deviations(path) == ["/vla/streams/wrist/age_ns: beyond the tolerance of 60 ms at step 3"]


def test_images_that_cannot_be_decoded_are_named(tmp_path: Path, small, embodied) -> None:
    path = small(tmp_path, embodied("jpeg"))
    with h5py.File(path, "a") as file:
        data = file["observations/images/scene"][2]
        data[40:400] = 0
        file["observations/images/scene"][2] = data
    found = deviations(path)
    assert len(found) == 1
    assert found[0].startswith("/observations/images/scene: step 2: ")


def test_lengths_that_are_not_those_of_the_files_are_named(tmp_path: Path, small, embodied) -> None:
    path = small(tmp_path, embodied("jpeg"))
    with h5py.File(path, "a") as file:
        file["compress_len"][1, 4] -= 2
    (line,) = deviations(path)
    assert line.startswith("/compress_len: expected the length of the file, ")
    assert "for 'wrist', found" in line
    assert line.endswith("at step 4")


def test_depth_images_that_cannot_be_read_are_named(tmp_path: Path, small, embodied) -> None:
    path = small(tmp_path, embodied("raw", depth_cameras={"far": FAR}))
    with h5py.File(path, "a") as file:
        file["observations/depth/far"].id.write_direct_chunk((3, 0, 0), b"no deflate")
    (line,) = deviations(path)
    assert line.startswith("/observations/depth/far: step 3: ")


def test_what_is_no_episode_at_all(tmp_path: Path, small) -> None:
    assert deviations(tmp_path / "nothing.hdf5") == ["expected a whole HDF5 file, found nothing"]
    path = small(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert deviations(path)
    path.write_bytes(b"text")
    assert deviations(path)[0].startswith("expected a whole HDF5 file, found something else")
