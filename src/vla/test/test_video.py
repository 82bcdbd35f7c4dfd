"""The video: it opens, plays as long as the episodes, and shows the cameras side by side."""

from __future__ import annotations

import dataclasses

import av
import numpy as np
import pytest

from vla.video import Clip, VideoFailed, write_video
from vla_core.episodes import EpisodeMetadata, Hdf5EpisodeWriter
from vla_core.episodes.synthetic import synthetic_step
from vla_core.errors import EmbodimentMismatch, EpisodeError
from vla_core.observation import Sample

HOLD = 24  # frames that the last image of a clip stands still: 0.8 s at 30 Hz


def clip(path, success=True) -> Clip:
    return Clip(path, "Policy, episode 1", "simulated FR3", success)


def frames_in(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_it_is_h264_for_browsers_and_as_long_as_the_episodes(make_episode, with_end_steps, tmp_path):
    path = tmp_path / "new" / "video.mp4"
    write_video(path, [clip(make_episode(10)), clip(make_episode(7), success=False)])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 30
        assert stream.frames == 10 + 7 + 2 * HOLD
        assert float(stream.duration * stream.time_base) == pytest.approx(stream.frames / 30)
        assert stream.width % 2 == stream.height % 2 == 0
    head = path.read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")  # plays before all of it is there


def test_end_steps_are_not_shown(make_episode, with_end_steps, tmp_path):
    write_video(tmp_path / "video.mp4", [clip(make_episode(6, robot=with_end_steps))])
    assert len(frames_in(tmp_path / "video.mp4")) == 6 + HOLD


@pytest.fixture
def coloured(tmp_path, embodiment):
    """An episode whose scene is red and whose wrist is blue."""
    writer = Hdf5EpisodeWriter(tmp_path / "coloured", EpisodeMetadata("", "sim", embodiment))
    for index in range(10):
        step = synthetic_step(embodiment, index)
        samples = dict(step.samples)
        for role, color in (("scene", (200, 20, 20)), ("wrist", (20, 20, 200))):
            image = np.full((96, 128, 3), color, np.uint8)
            samples[role] = Sample(step.stamp_ns, step.stamp_ns, image)
        writer.append(dataclasses.replace(step, samples=samples))
    return writer.finish("success")


def test_the_cameras_are_side_by_side(coloured, tmp_path):
    write_video(tmp_path / "video.mp4", [clip(coloured)])
    first = frames_in(tmp_path / "video.mp4")[0].astype(int)
    left, right = first[190, first.shape[1] // 4], first[190, 3 * first.shape[1] // 4]
    assert left == pytest.approx([200, 20, 20], abs=12)
    assert right == pytest.approx([20, 20, 200], abs=12)


def test_progress_grows_and_the_outcome_stands_at_the_end(coloured, tmp_path):
    outcomes = []
    for success in (True, False):
        write_video(tmp_path / "video.mp4", [clip(coloured, success)])
        frames = [frame.astype(int) for frame in frames_in(tmp_path / "video.mp4")]
        filled = [int((frame[387, :, 2] > 150).sum()) for frame in frames]
        assert filled[0] == pytest.approx(filled[-1] / 10, abs=12)
        assert filled == sorted(filled)
        corner = (slice(-50, None), slice(-150, None))
        assert np.abs(frames[0][corner] - frames[8][corner]).max() < 40  # nothing there while it runs
        outcomes.append((frames[-1] - frames[0])[corner].sum(axis=(0, 1)))
    (red, green, _), (failed_red, failed_green, _) = outcomes
    assert green > red
    assert failed_red > failed_green


def test_episodes_of_other_cameras_are_refused(make_episode, embodiment, tmp_path):
    cameras = {role: dataclasses.replace(camera, width=160) for role, camera in embodiment.cameras.items()}
    other = make_episode(robot=dataclasses.replace(embodiment, cameras=cameras))
    with pytest.raises(EmbodimentMismatch, match="expected the cameras of"):
        write_video(tmp_path / "video.mp4", [clip(make_episode()), clip(other)])


def test_episodes_of_another_rate_are_refused(make_episode, embodiment, tmp_path):
    slow = dataclasses.replace(embodiment, steps=dataclasses.replace(embodiment.steps, rate_hz=15.0))
    with pytest.raises(EmbodimentMismatch, match="expected 30 steps per second, found 15"):
        write_video(tmp_path / "video.mp4", [clip(make_episode()), clip(make_episode(robot=slow))])


def test_no_episode_is_no_video(tmp_path):
    with pytest.raises(VideoFailed, match="expected at least one episode"):
        write_video(tmp_path / "video.mp4", [])


def test_a_missing_episode_is_one_error(tmp_path):
    with pytest.raises(EpisodeError, match="expected an episode file, found nothing"):
        write_video(tmp_path / "video.mp4", [clip(tmp_path / "episode_9.hdf5")])


def test_a_video_that_cannot_be_written_is_one_error(make_episode, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(VideoFailed, match="cannot be written"):
        write_video(tmp_path / "file" / "video.mp4", [clip(make_episode())])
