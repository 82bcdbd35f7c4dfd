"""Episodes with everything in them: JPEG, lossless and depth images, marked values, prompts, native streams, rollouts.

Each is read back twice: by our reader, and by plain h5py as any other program reads it.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from vla_core.action_chunk import ActionChunk
from vla_core.chunk_times import ChunkTimes
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.embodiment.schema import Camera, DepthCamera
from vla_core.encoded import EncodedImage, encode_jpeg
from vla_core.episodes import (
    CommandState,
    EpisodeMetadata,
    EpisodeReader,
    Hdf5EpisodeWriter,
    NativeSamples,
    RolloutChunk,
)
from vla_core.episodes.layout import bytes_per_second, jpeg_row_bytes
from vla_core.episodes.synthetic import START_NS, synthetic_step
from vla_core.errors import EpisodeError
from vla_core.observation import Sample, Step

FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")
ALIGN = FR3.cameras["scene"].align
HEIGHT, WIDTH = 24, 32


def camera(**changes: object) -> Camera:
    return dataclasses.replace(FR3.cameras["scene"], height=HEIGHT, width=WIDTH, **changes)


def depth(encoding: str, images: str) -> DepthCamera:
    return DepthCamera("/depth", WIDTH, HEIGHT, 30.0, ALIGN, encoding, "mm", images=images)


def with_cameras(**cameras: Camera) -> Embodiment:
    steps = dataclasses.replace(FR3.steps, clock=next(iter(cameras)), end_steps=0)
    return dataclasses.replace(FR3, cameras=cameras, steps=steps)


def picture(index: int, role: int = 0) -> NDArray[np.uint8]:
    """Smooth, as pictures are, and with some noise."""
    rng = np.random.default_rng([index, role])
    ramp = np.add.outer(np.arange(HEIGHT) * 3, np.arange(WIDTH) * 2)[:, :, None] + [0, 40, 90] + index
    return np.clip(ramp + rng.normal(0, 2, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)


def with_values(step: Step, **values: object) -> Step:
    changed = {name: dataclasses.replace(step.samples[name], value=value) for name, value in values.items()}
    return dataclasses.replace(step, samples={**step.samples, **changed})


def write(folder: Path, embodiment: Embodiment, steps: list[Step], prompt: str = "pick") -> Path:
    writer = Hdf5EpisodeWriter(folder, EpisodeMetadata(prompt, "sim", embodiment))
    for step in steps:
        writer.append(step)
    return writer.finish("success")


# -- images ----------------------------------------------------------------------------------------------------------------


def test_lossless_images_are_what_they_were_for_everybody(tmp_path: Path) -> None:
    embodiment = with_cameras(scene=camera(images="lossless"), wrist=camera(images="lossless"))
    smooth = [picture(index) for index in range(70)]
    noise = [np.random.default_rng(index).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for index in range(70)]
    steps = [
        with_values(synthetic_step(embodiment, i), scene=smooth[i], wrist=noise[i] if i % 2 else smooth[i])
        for i in range(70)
    ]
    path = write(tmp_path, embodiment, steps)
    with EpisodeReader(path) as episode:
        assert episode.compression("scene") == "lossless"
        assert episode.encoded_image("scene", 3) is None
        np.testing.assert_array_equal(episode.images("scene"), smooth)
        np.testing.assert_array_equal(episode.image("wrist", 69), noise[69])
        np.testing.assert_array_equal(episode.images("wrist", 67, 69), [noise[67], smooth[68]])
    with h5py.File(path) as file:
        scene, wrist = file["observations/images/scene"], file["observations/images/wrist"]
        assert scene.compression == "gzip"
        assert scene.attrs["compression"] == "lossless"
        np.testing.assert_array_equal(scene[:], smooth)
        np.testing.assert_array_equal(wrist[1::2], noise[1::2])
        assert (
            wrist.id.get_chunk_info_by_coord((1, 0, 0, 0)).filter_mask == 1
        )  # noise does not get smaller: kept as it is
        assert wrist.id.get_chunk_info_by_coord((1, 0, 0, 0)).size == HEIGHT * WIDTH * 3
        assert scene.id.get_storage_size() < 70 * HEIGHT * WIDTH * 3


@pytest.mark.parametrize("images", ["raw", "lossless"])
@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_depth_images_are_what_they_were_for_everybody(tmp_path: Path, encoding: str, images: str) -> None:
    embodiment = dataclasses.replace(with_cameras(scene=camera()), depth_cameras={"deep": depth(encoding, images)})
    dtype = np.uint16 if encoding == "16UC1" else np.float32
    rng = np.random.default_rng(1)
    deep = [np.clip(rng.normal(900 + index, 3, (HEIGHT, WIDTH)), 0, None).astype(dtype) for index in range(9)]
    deep[4] = rng.integers(0, 65536, (HEIGHT, WIDTH), np.uint16).astype(dtype)
    if encoding == "32FC1":
        deep[2][3, 5] = np.nan
    path = write(tmp_path, embodiment, [with_values(synthetic_step(embodiment, i), deep=deep[i]) for i in range(9)])
    with EpisodeReader(path) as episode:
        for index in range(9):
            found = episode.depth("deep", index)
            np.testing.assert_array_equal(found, deep[index])
            assert found.dtype == dtype
        assert "deep" not in episode.observation(0).images
        assert episode.stream_ages_ns("deep")[3] == synthetic_step(embodiment, 3).age_ns("deep")
        with pytest.raises(EpisodeError, match="depth camera: expected 'deep', found 'scene'"):
            episode.depth("scene", 0)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["observations/depth/deep"][:], deep)
        assert file["observations/depth/deep"].attrs["unit"] == "mm"


def jpeg_embodiment(**changes: object) -> Embodiment:
    return with_cameras(scene=camera(images="jpeg"), wrist=camera(images="jpeg", jpeg_quality=60, **changes))


def test_jpeg_images_have_the_layout_of_aloha_compressed(tmp_path: Path) -> None:
    embodiment = jpeg_embodiment()
    steps = [
        with_values(synthetic_step(embodiment, i), scene=picture(i), wrist=picture(i, 1) // (1 + i % 3))
        for i in range(70)
    ]
    path = write(tmp_path, embodiment, steps)
    expected = {
        "scene": [encode_jpeg(picture(i), 95) for i in range(70)],
        "wrist": [encode_jpeg(picture(i, 1) // (1 + i % 3), 60) for i in range(70)],
    }
    with h5py.File(path) as file:  # as the loaders of ALOHA's compressed episodes do it
        assert file.attrs["compress"]
        lengths = file["compress_len"][()]
        assert lengths.shape == (2, 70)
        assert lengths.dtype == np.float32
        for number, role in enumerate(("scene", "wrist")):
            rows = file[f"observations/images/{role}"]
            assert rows.ndim == 2
            assert rows.shape == (70, max(len(data) for data in expected[role]))
            assert rows.attrs["color_order"] == "rgb"
            for index in range(70):
                row, length = rows[index], int(lengths[number, index])
                assert row[:length].tobytes() == expected[role][index]
                assert not row[length:].any()
            blue_green_red = cv2.imdecode(rows[5], cv2.IMREAD_COLOR)  # its padding does no harm
            with EpisodeReader(path) as episode:
                np.testing.assert_array_equal(blue_green_red[:, :, ::-1], episode.image(role, 5))
    with EpisodeReader(path) as episode:
        assert episode.compression("wrist") == "jpeg"
        for role, files in expected.items():
            encoded = [episode.encoded_image(role, index) for index in range(70)]
            assert [image.data for image in encoded] == files
            np.testing.assert_array_equal(episode.images(role)[69], encoded[69].decode())
        assert np.abs(episode.image("scene", 7).astype(int) - picture(7)).mean() < 4
        np.testing.assert_array_equal(episode.observation(7).images["scene"], episode.image("scene", 7))


def test_jpeg_files_of_a_camera_stay_what_they_are(tmp_path: Path) -> None:
    embodiment = jpeg_embodiment()
    sent = encode_jpeg(picture(0), 40)
    png = cv2.imencode(".png", picture(1)[:, :, ::-1])[1].tobytes()
    step = with_values(
        synthetic_step(embodiment, 0),
        scene=EncodedImage(memoryview(sent + bytes(5)), "jpeg", HEIGHT, WIDTH),  # as a driver that fills up sends it
        wrist=EncodedImage(png, "png", HEIGHT, WIDTH),
    )
    with EpisodeReader(write(tmp_path, embodiment, [step])) as episode:
        assert episode.encoded_image("scene", 0).data == sent
        assert episode.encoded_image("wrist", 0).data == encode_jpeg(picture(1), 60)


def test_a_file_larger_than_its_row_is_encoded_anew(tmp_path: Path) -> None:
    large = dataclasses.replace(FR3.cameras["scene"], height=120, width=160, images="jpeg")
    embodiment = with_cameras(scene=large)
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    full_colours = (
        cv2.IMWRITE_JPEG_QUALITY,
        100,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    )
    sent = cv2.imencode(".jpg", noise, full_colours)[1].tobytes()
    assert len(sent) > jpeg_row_bytes(large)
    step = with_values(synthetic_step(embodiment, 0), scene=EncodedImage(sent, "jpeg", 120, 160))
    with EpisodeReader(write(tmp_path, embodiment, [step])) as episode:
        kept = episode.encoded_image("scene", 0)
        assert len(kept.data) <= jpeg_row_bytes(large)
        pixels = EncodedImage(sent, "jpeg", 120, 160).decode()
        assert kept.data == encode_jpeg(pixels, 95)


@pytest.mark.parametrize("quality", [95, 100])
def test_the_row_has_room_for_the_worst_picture(quality: int) -> None:
    worst = np.random.default_rng(0).integers(0, 2, (480, 640, 3), np.uint8) * np.uint8(255)
    row = jpeg_row_bytes(dataclasses.replace(FR3.cameras["scene"], height=480, width=640, jpeg_quality=quality))
    assert len(encode_jpeg(worst, quality)) <= row < worst.nbytes


def test_encoded_images_are_decoded_for_cameras_that_are_not_kept_as_jpeg(tmp_path: Path) -> None:
    embodiment = with_cameras(scene=camera(), wrist=camera(images="lossless"))
    encoded = EncodedImage(encode_jpeg(picture(3), 90), "jpeg", HEIGHT, WIDTH)
    step = with_values(synthetic_step(embodiment, 0), scene=encoded, wrist=encoded)
    with EpisodeReader(write(tmp_path, embodiment, [step])) as episode:
        np.testing.assert_array_equal(episode.image("scene", 0), encoded.decode())
        np.testing.assert_array_equal(episode.image("wrist", 0), encoded.decode())


def test_mixed_cameras_are_no_compressed_aloha_file(tmp_path: Path) -> None:
    embodiment = with_cameras(scene=camera(images="jpeg"), wrist=camera())
    step = with_values(synthetic_step(embodiment, 0), scene=picture(0), wrist=picture(1))
    path = write(tmp_path, embodiment, [step])
    with h5py.File(path) as file:
        assert not file.attrs["compress"]
        assert "compress_len" not in file
    with EpisodeReader(path) as episode:
        assert episode.encoded_image("scene", 0).data == encode_jpeg(picture(0), 95)
        np.testing.assert_array_equal(episode.image("wrist", 0), picture(1))


def test_a_damaged_jpeg_file_in_an_episode_is_an_error_that_names_it(tmp_path: Path) -> None:
    embodiment = with_cameras(scene=camera(images="jpeg"))
    path = write(tmp_path, embodiment, [with_values(synthetic_step(embodiment, 0), scene=picture(0))])
    with h5py.File(path, "r+") as file:
        rows = file["observations/images/scene"]
        rows[0] = np.where(np.arange(rows.shape[1]) < 40, rows[0], 0)
    with EpisodeReader(path) as episode, pytest.raises(EpisodeError, match="observations/images/scene', step 0"):
        episode.image("scene", 0)


def test_the_first_episode_needs_about_as_much_of_the_disk_as_was_estimated(tmp_path: Path) -> None:
    embodiment = with_cameras(scene=camera(), wrist=camera())
    path = write(tmp_path, embodiment, [synthetic_step(embodiment, index) for index in range(300)])
    images = 300 * 2 * HEIGHT * WIDTH * 3
    assert images < bytes_per_second(embodiment) * 10 < 1.5 * path.stat().st_size
    halved = with_cameras(scene=camera(images="jpeg"), wrist=camera())
    assert 0.5 < bytes_per_second(halved) / bytes_per_second(embodiment) < 0.7


# -- steps -----------------------------------------------------------------------------------------------------------------


def marking() -> Embodiment:
    mark = dataclasses.replace(ALIGN, on_missing="mark")
    joints = dataclasses.replace(FR3.streams["joints"], align=dataclasses.replace(mark, method="nearest"))
    embodiment = with_cameras(scene=camera(), wrist=camera(align=mark))
    return dataclasses.replace(
        embodiment,
        streams={**FR3.streams, "joints": joints},
        steps=dataclasses.replace(embodiment.steps, end_steps=2),
    )


def test_marked_values_are_kept_and_said_to_be_invalid(tmp_path: Path) -> None:
    embodiment = marking()
    steps = [synthetic_step(embodiment, index) for index in range(4)]
    steps[1] = dataclasses.replace(steps[1], marked=frozenset({"wrist"}))
    steps[3] = dataclasses.replace(steps[3], marked=frozenset({"wrist", "joints"}))
    path = write(tmp_path, embodiment, steps)
    with EpisodeReader(path) as episode:
        assert list(episode.valid("wrist")) == [True, False, True, False, False, False]
        assert list(episode.valid("joints")) == [True, True, True, False, False, False]
        assert list(episode.valid("scene")) == [True] * 6
        np.testing.assert_array_equal(episode.image("wrist", 3), steps[3].samples["wrist"].value)
        with pytest.raises(EpisodeError, match=r"camera or stream: expected 'scene', .* found 'lidar'"):
            episode.valid("lidar")
    with h5py.File(path) as file:
        assert file["vla/streams/wrist/valid"].dtype == np.uint8
        assert "valid" not in file["vla/streams/scene"]


def test_each_step_has_its_prompt(tmp_path: Path) -> None:
    embodiment = with_cameras(scene=camera())
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("pick", "sim", embodiment))
    for index, prompt in enumerate(["", "", "place it on the red box", "", "pick", "", "Würfel ablegen"]):
        writer.append(synthetic_step(embodiment, index), prompt)
    path = writer.finish("success")
    with EpisodeReader(path) as episode:
        said = ["pick"] * 2 + ["place it on the red box"] * 2 + ["pick"] * 2 + ["Würfel ablegen"]
        assert episode.prompts == said
        assert episode.info.prompts == ("pick", "place it on the red box", "Würfel ablegen")
        assert episode.info.metadata.prompt == "pick"
        assert [episode.observation(index).prompt for index in range(7)] == said
    with h5py.File(path) as file:
        prompts = json.loads(file["vla"].attrs["prompts"])
        assert [prompts[index] for index in file["vla/prompt_index"]] == said


# -- beside the steps ------------------------------------------------------------------------------------------------------


def with_native() -> Embodiment:
    streams = {name: dataclasses.replace(stream, native=name == "joints") for name, stream in FR3.streams.items()}
    return dataclasses.replace(with_cameras(scene=camera()), streams=streams)


def samples(first: int, count: int, size: int = 21) -> NativeSamples:
    stamps = START_NS + np.arange(first, first + count, dtype=np.int64) * 1_000_000
    values = np.arange(first, first + count)[:, None] + np.arange(size) / 256
    return NativeSamples("joints", stamps, stamps + 300_000, values)


def test_a_native_stream_is_kept_at_its_own_rate(tmp_path: Path) -> None:
    embodiment = with_native()
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", embodiment))
    for index in range(80):
        writer.append(synthetic_step(embodiment, index))
        writer.beside(samples(33 * index, 33))
        if index % 7 == 0:
            writer.flush()
    path = writer.finish("success")
    expected = samples(0, 33 * 80)
    with EpisodeReader(path) as episode:
        found = episode.native("joints")
        assert len(found) == len(expected)
        np.testing.assert_array_equal(found.stamps_ns, expected.stamps_ns)
        np.testing.assert_array_equal(found.receive_ns, expected.receive_ns)
        np.testing.assert_array_equal(found.values, expected.values)
        with pytest.raises(EpisodeError, match="expected 'joints', found 'arm_command'"):
            episode.native("arm_command")
    with h5py.File(path) as file:
        assert len(json.loads(file["vla/native/joints/value"].attrs["units"])) == 21


def test_a_native_stream_of_which_nothing_came_is_empty(tmp_path: Path) -> None:
    embodiment = with_native()
    with EpisodeReader(write(tmp_path, embodiment, [synthetic_step(embodiment, 0)])) as episode:
        assert len(episode.native("joints")) == 0
        assert episode.rollout is None


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (dataclasses.replace(samples(0, 3), stream="lidar"), r"expected a stream of \['joints'\] .* found 'lidar'"),
        (samples(0, 3, size=7), r"expected values of shape \(3, 21\).* found \(3, 7\)"),
        (dataclasses.replace(samples(0, 3), receive_ns=np.zeros(2, np.int64)), "as many times of arrival"),
        (
            RolloutChunk(ActionChunk(np.zeros((4, 2)), ("a", "b"), 0, 1, 0), 0, "", False),
            "chunk 0: expected actions of",
        ),
    ],
)
def test_a_record_that_does_not_fit_is_refused_and_the_episode_goes_on(
    tmp_path: Path, record: NativeSamples | RolloutChunk, message: str
) -> None:
    embodiment = with_native()
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", embodiment))
    with pytest.raises(EpisodeError, match=message):
        writer.beside(record)
    writer.append(synthetic_step(embodiment, 0))
    with EpisodeReader(writer.finish("success")) as episode:
        assert len(episode) == 1


def chunk(number: int, horizon: int, policy: str = "act@1", strategy: str = "receding_horizon") -> RolloutChunk:
    actions = number + np.arange(horizon * 8).reshape(horizon, 8) / 1000
    start_ns = START_NS + number * 10**8
    made = ActionChunk(
        actions=actions,
        names=FR3.action_names,
        start_ns=start_ns,
        step_ns=33_333_333,
        observation_ns=start_ns - 5,
        policy_id=policy,
        sequence=number,
        inference_latency_ns=12_000_000 + number,
    )
    return RolloutChunk(made, start_ns + 20_000_000, strategy, shadow=number % 2 == 1)


def assert_same_chunk(found: RolloutChunk, expected: RolloutChunk) -> None:
    np.testing.assert_array_equal(found.chunk.actions, expected.chunk.actions)
    known = dataclasses.replace(found.chunk, actions=expected.chunk.actions)
    assert dataclasses.astuple(known)[1:] == dataclasses.astuple(expected.chunk)[1:]
    assert (found.receive_ns, found.strategy, found.shadow) == (
        expected.receive_ns,
        expected.strategy,
        expected.shadow,
    )


def test_the_chunks_of_a_rollout_are_kept(tmp_path: Path) -> None:
    embodiment = with_cameras(scene=camera())
    records = [chunk(0, 5), chunk(1, 5), chunk(2, 9, "other@2"), chunk(3, 2, strategy="temporal_ensembling")]
    records += [chunk(number, 5) for number in range(4, 140)]
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", embodiment, policy_id="act@1"))
    for index, record in enumerate(records):
        writer.append(synthetic_step(embodiment, index))
        writer.beside(record)
        if index in (0, 2, 3, 77):
            writer.flush()
    path = writer.finish("success")
    with EpisodeReader(path) as episode:
        rollout = episode.rollout
        assert rollout is not None
        assert len(rollout) == len(records)
        assert rollout.actions.shape == (140, 9, 8)
        assert np.isnan(rollout.actions[0, 5:]).all()
        for found, expected in zip(rollout.chunks(), records, strict=True):
            assert_same_chunk(found, expected)
    with h5py.File(path) as file:
        group = file["vla/rollout"]
        policies = json.loads(group.attrs["policy_ids"])
        assert [policies[index] for index in group["policy_index"][:3]] == ["act@1", "act@1", "other@2"]
        assert set(group["horizon"][:]) == {5, 9, 2}


def passed(sequence: int, policy: str = "act@1") -> ChunkTimes:
    return ChunkTimes(policy, sequence, *(START_NS + sequence * 10**8 + station for station in range(8)))


def test_where_the_time_of_chunks_went_and_what_command_node_did_are_kept(tmp_path: Path) -> None:
    embodiment = with_cameras(scene=camera())
    ledger = [passed(number, "other@2" if number > 150 else "act@1") for number in range(200)]
    states = [
        CommandState(START_NS, "armed"),
        CommandState(START_NS + 5, "running"),
        CommandState(START_NS + 9, "running", "a person has the arm", intervention=True),
        CommandState(START_NS + 12, "fault", "no usable action"),
    ]
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", embodiment))
    for index, times in enumerate(ledger):
        writer.append(synthetic_step(embodiment, index))
        writer.beside(times)
        if index < len(states):
            writer.beside(states[index])
        if index in (0, 2, 3, 77):
            writer.flush()
    with EpisodeReader(writer.finish("success")) as episode:
        assert list(episode.ledger) == ledger
        assert list(episode.states) == states
        assert episode.states[2].intervention is True


def test_texts_that_there_is_no_room_for_are_left_out(tmp_path: Path) -> None:
    embodiment = with_cameras(scene=camera())
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", embodiment))
    for index in range(300):
        writer.append(synthetic_step(embodiment, index))
        writer.beside(CommandState(START_NS + index, "fault", f"{index}: " + "é" * 1000))
        if index % 100 == 0:
            writer.flush()
    writer.beside(CommandState(START_NS + 300, "fault", "0: " + "é" * 1000))
    with EpisodeReader(writer.finish("success")) as episode:
        messages = [state.message for state in episode.states]
    assert len(messages) == 301
    assert messages[59] == "59: " + "é" * 146
    assert set(messages[60:300]) == {"..."}
    assert messages[300] == messages[0]


def test_an_episode_without_ledger_and_states_is_read_as_before(tmp_path: Path) -> None:
    embodiment = with_cameras(scene=camera())
    with EpisodeReader(write(tmp_path, embodiment, [synthetic_step(embodiment, 0)])) as episode:
        assert (episode.ledger, episode.states) == ((), ())


def test_an_episode_whose_ledger_lacks_a_column_is_refused(tmp_path: Path) -> None:
    embodiment = with_cameras(scene=camera())
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", embodiment))
    writer.append(synthetic_step(embodiment, 0))
    writer.beside(passed(0))
    path = writer.finish("success")
    with h5py.File(path, "r+") as file:
        file["vla/ledger/received"].resize(0, axis=0)
        del file["vla/ledger/published"]
    with pytest.raises(EpisodeError, match="/vla/ledger/published: missing") as error:
        EpisodeReader(path)
    assert r"/vla/ledger/received: expected int64 of shape (1,), found int64 of shape (0,)" in str(error.value)


def test_an_episode_that_lacks_what_is_beside_it_is_refused(tmp_path: Path) -> None:
    embodiment = with_native()
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", embodiment))
    writer.append(synthetic_step(embodiment, 0))
    writer.beside(samples(0, 5))
    writer.beside(chunk(0, 4))
    path = writer.finish("success")
    for name, message in (
        ("vla/native/joints/value", "/vla/native/joints/value: missing"),
        ("vla/rollout/shadow", "/vla/rollout/shadow: missing"),
    ):
        with h5py.File(path, "r+") as file:
            file.move(name, "elsewhere")
        with pytest.raises(EpisodeError, match=message):
            EpisodeReader(path)
        with h5py.File(path, "r+") as file:
            file.move("elsewhere", name)
    with h5py.File(path, "r+") as file:
        file["vla/native/joints/receive_ns"].resize(4, axis=0)
    with pytest.raises(EpisodeError, match=r"/vla/native/joints/receive_ns: expected int64 of shape \(5,\), found"):
        EpisodeReader(path)


def test_a_depth_image_of_another_size_is_refused(tmp_path: Path) -> None:
    embodiment = dataclasses.replace(with_cameras(scene=camera()), depth_cameras={"deep": depth("16UC1", "raw")})
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", embodiment))
    wrong = with_values(synthetic_step(embodiment, 0), deep=np.zeros((3, 4), np.uint16))
    with pytest.raises(
        EpisodeError, match=r"stream 'deep': expected uint16 of shape \(24, 32\), found uint16 of shape \(3, 4\)"
    ):
        writer.append(wrong)
    wrong = with_values(synthetic_step(embodiment, 0), scene=EncodedImage(b"", "jpeg", 3, 4))
    with pytest.raises(
        EpisodeError, match=r"expected uint8 of shape \(24, 32, 3\), found a jpeg file of shape \(3, 4, 3\)"
    ):
        writer.append(wrong)
    lacking = synthetic_step(embodiment, 0)
    samples_without = {name: sample for name, sample in lacking.samples.items() if name != "deep"}
    with pytest.raises(EpisodeError, match=r"missing are \['deep'\]"):
        writer.append(Step(lacking.stamp_ns, samples_without))
    writer.append(with_values(synthetic_step(embodiment, 0), deep=np.full((HEIGHT, WIDTH), 7, np.uint16)))
    assert isinstance(lacking.samples["deep"], Sample)
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_finished_episode_takes_no_more_of_the_disk_than_it_is_long(tmp_path: Path) -> None:
    embodiment = with_cameras(scene=camera(), wrist=camera())
    path = write(tmp_path, embodiment, [synthetic_step(embodiment, index) for index in range(20)])
    found = path.stat()
    assert found.st_blocks * 512 <= found.st_size + 65536  # what was taken ahead of it is given back
