"""Bags as episodes: made-up ones with everything that can be wrong with a bag, and those that real rosbag2 recorded."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from bags_made import SECOND, START_NS, Message, image_of, scene, write_bag
from episodes_made import small_embodiment
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from vla_core.embodiment import Embodiment
from vla_core.embodiment.loading import embodiment_from_mapping
from vla_core.episodes import EpisodeReader
from vla_recorder.bags import BagError, BagReader
from vla_recorder.bags.recorded import Cut
from vla_recorder.formats.bag import BagImport, beside_episode, import_bag
from vla_recorder.formats.conversion import FormatError, Report

pytestmark = pytest.mark.ros

BAGS = Path(__file__).parent / "data" / "bags"
TRUTH = json.loads((BAGS / "truth.json").read_text())["scene_mcap"]
ROBOT = small_embodiment(depth=False, steps={"clock": "scene", "rate_hz": 10})
STEP_NS = SECOND // 10


def imported(
    folder: Path, messages: Iterable[Message], embodiment: Embodiment = ROBOT, **said: object
) -> tuple[Report, EpisodeReader]:
    bag = write_bag(folder / "bag", messages)
    report = import_bag(bag, folder / "episodes", BagImport(embodiment, **said))  # type: ignore[arg-type]
    return report, EpisodeReader(report.written[0])


def rows_of(episode: EpisodeReader) -> list[int]:
    """Which steps of the scene the rows are."""
    return [round((int(stamp) - START_NS) / STEP_NS) for stamp in episode.stamps_ns]


def require_true(episode: EpisodeReader) -> None:
    """Every row shows the image of its stamp, and the numbers of its time: nothing is invented, nothing mixed up."""
    for row, stamp_ns in enumerate(episode.stamps_ns):
        seconds = (int(stamp_ns) - START_NS) * 1e-9
        np.testing.assert_array_equal(episode.image("scene", row), image_of("/scene", rows_of(episode)[row]))
        np.testing.assert_allclose(episode.qpos[row, :2], [seconds, 2 * seconds + 1], atol=1e-9)
        np.testing.assert_allclose(episode.actions[row, :2], [seconds, 2 * seconds + 1], atol=1e-9)
        wrist_ns = int(episode.stream_stamps_ns("wrist")[row])
        index = round((wrist_ns + 7_000_000 - START_NS) / STEP_NS)
        np.testing.assert_array_equal(episode.image("wrist", row), image_of("/wrist", index))


def test_a_whole_bag_is_an_episode_of_all_its_steps(tmp_path: Path) -> None:
    report, episode = imported(tmp_path, scene())
    with episode:
        assert rows_of(episode) == list(range(20))
        require_true(episode)
        assert episode.prompts == ["prompt 0"] * 20
        assert episode.info.dropped_steps == 0
        assert len(episode.native("force")) == 110
        assert episode.info.summary.streams["grip"].stamp == "arrival"
        assert episode.info.summary.streams["state"].received == 220
    assert report.notes == []


def every_container() -> list[tuple[StoragePlugin, CompressionMode]]:
    mcap, sqlite = StoragePlugin.MCAP, StoragePlugin.SQLITE3
    modes = CompressionMode
    return [
        (mcap, modes.NONE),
        (mcap, modes.STORAGE),
        (mcap, modes.FILE),
        (mcap, modes.MESSAGE),
        (sqlite, modes.NONE),
        (sqlite, modes.FILE),
        (sqlite, modes.MESSAGE),
    ]


@pytest.mark.parametrize(("storage", "compression"), every_container())
def test_every_container_gives_the_same_episode(
    tmp_path: Path, storage: StoragePlugin, compression: CompressionMode
) -> None:
    write_bag(tmp_path / "bag", scene(), storage, compression)
    written = import_bag(tmp_path / "bag", tmp_path / "episodes", BagImport(ROBOT)).written[0]
    with EpisodeReader(written) as episode:
        assert rows_of(episode) == list(range(20))
        require_true(episode)


def test_a_split_bag_is_read_as_one(tmp_path: Path) -> None:
    """As ros2 bag record --max-bag-duration leaves it: several files, one metadata.yaml."""
    messages = scene()
    bag = tmp_path / "bag"
    halves = [[m for m in messages if (m.receive_ns < START_NS + SECOND) == first] for first in (True, False)]
    parts = [write_bag(tmp_path / f"part{k}", half) for k, half in enumerate(halves)]
    _join(parts, bag)
    with BagReader(bag) as reader:
        assert sum(topic.count for topic in reader.topics.values()) == len(messages)
    written = import_bag(bag, tmp_path / "episodes", BagImport(ROBOT)).written[0]
    with EpisodeReader(written) as episode:
        assert rows_of(episode) == list(range(20))
        require_true(episode)


def _join(parts: list[Path], bag: Path) -> None:
    """Puts the files of several bags into one folder with the metadata of all."""
    import yaml

    bag.mkdir()
    known = [yaml.safe_load((part / "metadata.yaml").read_text())["rosbag2_bagfile_information"] for part in parts]
    whole = known[0]
    names = []
    for number, part in enumerate(parts):
        (file,) = part.glob("*.mcap")
        names.append(f"bag_{number}.mcap")
        file.rename(bag / names[-1])
    whole["relative_file_paths"] = names
    whole["files"] = [
        {"path": name, **{key: one[key] for key in ("starting_time", "duration", "message_count")}}
        for name, one in zip(names, known, strict=True)
    ]
    whole["message_count"] = sum(one["message_count"] for one in known)
    for topic in whole["topics_with_message_count"]:
        name = topic["topic_metadata"]["name"]
        entries = [entry for one in known for entry in one["topics_with_message_count"]]
        counts = [entry["message_count"] for entry in entries if entry["topic_metadata"]["name"] == name]
        topic["message_count"] = sum(counts)
    whole["duration"]["nanoseconds"] = sum(one["duration"]["nanoseconds"] for one in known)
    (bag / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": whole}))


def dropped(messages: list[Message], topic: str, lost: Callable[[Message], bool]) -> list[Message]:
    return [message for message in messages if message.topic != topic or not lost(message)]


def test_lost_images_are_lost_steps_and_nothing_else(tmp_path: Path) -> None:
    _, episode = imported(tmp_path, dropped(scene(), "/scene", lambda m: m.index in (4, 5, 6, 11)))
    with episode:
        assert rows_of(episode) == [k for k in range(20) if k not in (4, 5, 6, 11)]
        require_true(episode)
        assert episode.info.summary.streams["scene"].gaps == 1


def test_a_camera_that_froze_is_lost_steps_and_not_the_same_image_again_and_again(tmp_path: Path) -> None:
    camera = dataclasses.replace(ROBOT.cameras["scene"], frozen_after_ms=200.0)
    watched = dataclasses.replace(ROBOT, cameras={**ROBOT.cameras, "scene": camera})
    hung = [
        dataclasses.replace(one, index=5) if one.topic == "/scene" and 5 <= one.index < 15 else one for one in scene()
    ]
    report, episode = imported(tmp_path, hung, watched)
    with episode:
        assert rows_of(episode) == [k for k in range(20) if not 7 < k < 15]
    assert any("the same image for" in note for note in report.notes)


def test_a_gap_of_a_stream_drops_the_steps_within_and_counts_them(tmp_path: Path) -> None:
    def silent(message: Message) -> bool:
        return START_NS + 0.52 * SECOND < message.stamp_ns < START_NS + 0.88 * SECOND

    report, episode = imported(tmp_path, dropped(scene(), "/state", silent))
    with episode:
        assert rows_of(episode) == [k for k in range(20) if k not in (6, 7, 8)]
        require_true(episode)
        summary = episode.info.summary
        assert summary.dropped_steps == summary.streams["state"].missing_steps == 3
        assert summary.streams["state"].gaps == 1
        assert 0.35 < summary.streams["state"].largest_gap_s < 0.38
    assert any("state was missing in 3 steps" in note for note in report.notes)


def test_an_old_image_is_kept_and_marked_where_the_embodiment_says_so(tmp_path: Path) -> None:
    _, episode = imported(tmp_path, dropped(scene(), "/wrist", lambda m: m.index in (8, 9)))
    with episode:
        assert rows_of(episode) == list(range(20))
        assert np.flatnonzero(~episode.valid("wrist")).tolist() == [8, 9]
        require_true(episode)
        assert episode.info.summary.streams["wrist"].marked_steps == 2


def test_messages_that_came_out_of_order_are_put_where_they_belong(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    messages = [
        m.moved(receive_ns=int(random.uniform(0, 35_000_000))) if m.topic in ("/state", "/command") else m
        for m in scene()
    ]
    _, episode = imported(tmp_path, messages)
    with episode:
        assert rows_of(episode) == list(range(20))
        require_true(episode)
        assert episode.info.summary.streams["state"].out_of_order > 50


def test_messages_that_came_twice_change_nothing(tmp_path: Path) -> None:
    again = [m.moved(receive_ns=3_000_000) for m in scene() if m.topic in ("/scene", "/state") and m.index % 5 == 0]
    _, episode = imported(tmp_path, [*scene(), *again])
    with episode:
        assert rows_of(episode) == list(range(20))
        require_true(episode)
        assert episode.info.summary.streams["scene"].duplicates == 4


@pytest.mark.parametrize(
    ("topic", "rows"), [("/state", range(8, 20)), ("/scene", range(8, 20)), ("/grip", range(8, 20))]
)
def test_a_stream_that_begins_late_begins_the_episode(tmp_path: Path, topic: str, rows: range) -> None:
    late = START_NS + 75 * SECOND // 100
    _, episode = imported(tmp_path, dropped(scene(), topic, lambda m: m.stamp_ns < late))
    with episode:
        assert rows_of(episode) == list(rows)
        require_true(episode)


@pytest.mark.parametrize("topic", ["/state", "/scene"])
def test_a_stream_that_ends_early_ends_the_episode(tmp_path: Path, topic: str) -> None:
    early = START_NS + 125 * SECOND // 100
    _, episode = imported(tmp_path, dropped(scene(), topic, lambda m: m.stamp_ns > early))
    with episode:
        assert rows_of(episode) == list(range(13))
        require_true(episode)


def test_a_stream_without_stamps_is_taken_by_arrival_and_says_so(tmp_path: Path) -> None:
    messages = [dataclasses.replace(m, stamp_ns=0) if m.topic == "/wrist" else m for m in scene()]
    report, episode = imported(tmp_path, messages)
    assert report.notes[0] == "'wrist' has no header stamps in the bag; its times are those of its reception"
    with episode:
        assert episode.info.summary.streams["wrist"].stamp == "arrival"
        assert episode.info.metadata.embodiment.cameras["wrist"].stamp == "arrival"
        assert episode.info.summary.streams["scene"].stamp == "header"
        assert rows_of(episode) == list(range(1, 20))  # the image of a step arrives 2 ms after it
        received_ns = [m.receive_ns for m in messages if m.topic == "/wrist"]
        for row, stamp_ns in enumerate(episode.stamps_ns):
            assert episode.stream_stamps_ns("wrist")[row] == max(t for t in received_ns if t <= stamp_ns)


def test_a_stream_is_taken_by_arrival_when_asked_to(tmp_path: Path) -> None:
    report, episode = imported(tmp_path, scene(), by_arrival=("wrist",))
    with episode:
        assert episode.info.metadata.embodiment.cameras["wrist"].stamp == "arrival"
        assert rows_of(episode) == list(range(1, 20))
    assert not any("no header stamps" in note for note in report.notes)


def test_a_few_zero_stamps_among_good_ones_are_left_out_and_named(tmp_path: Path) -> None:
    messages = [dataclasses.replace(m, stamp_ns=0) if m.topic == "/state" and m.index % 20 == 7 else m for m in scene()]
    report, episode = imported(tmp_path, messages)
    with episode:
        assert rows_of(episode) == list(range(20))
        require_true(episode)
    assert any("11 messages of 'state' not used" in note and "stamp is 0" in note for note in report.notes)


def test_bytes_behind_a_message_are_no_error_and_missing_ones_are(tmp_path: Path) -> None:
    """rclpy's serialize_message, with which Python programs write bags, leaves some."""
    write_bag(tmp_path / "behind", scene(0.5), tail=b"\x17" * 16)
    written = import_bag(tmp_path / "behind", tmp_path / "e", BagImport(ROBOT)).written[0]
    with EpisodeReader(written) as episode:
        assert rows_of(episode) == list(range(5))
        require_true(episode)
    write_bag(tmp_path / "short", [m for m in scene(0.5) if m.topic == "/prompt"], cut=2)
    with BagReader(tmp_path / "short") as bag, pytest.raises(BagError, match="expected a whole message"):
        list(bag.messages())


@pytest.mark.parametrize("seconds", [-5.0, 5.0])
def test_a_clock_that_is_set_mixes_nothing_up(tmp_path: Path, seconds: float) -> None:
    """All stamps jump at once, as when the robot's computer finds its time server; the recorder's clock does not."""
    jump_ns = round(seconds * SECOND)
    at_ns = START_NS + 105 * SECOND // 100
    messages = [m.moved(stamp_ns=jump_ns) if m.stamp_ns > at_ns else m for m in scene()]
    grip = ROBOT.streams["grip"]  # aligned by arrival, on the clock that is not set
    patient = dataclasses.replace(grip, align=dataclasses.replace(grip.align, tolerance_ms=10_000))
    robot = dataclasses.replace(ROBOT, streams={**ROBOT.streams, "grip": patient})
    _, episode = imported(tmp_path, messages, robot)
    with episode:
        assert (np.diff(episode.stamps_ns) > 0).all()
        assert episode.info.summary.streams["scene"].clock_jumps == 1
        for row, stamp_ns in enumerate(episode.stamps_ns):
            moved = int(stamp_ns) > START_NS + 3 * SECOND
            index = round((int(stamp_ns) - (jump_ns if moved else 0) - START_NS) / STEP_NS)
            np.testing.assert_array_equal(episode.image("scene", row), image_of("/scene", index))
        assert len(episode) >= (18 if seconds > 0 else 10)  # a clock that was set back gives no younger rows
        assert len(episode) + episode.info.dropped_steps == 20


def test_prompts_change_when_they_were_received(tmp_path: Path) -> None:
    later = Message("/prompt", 0, START_NS + 65 * SECOND // 100, 1)
    _, episode = imported(tmp_path, [*scene(), later])
    with episode:
        assert episode.prompts == ["prompt 0"] * 7 + ["prompt 1"] * 13


def test_a_cut_is_the_same_rows_of_the_whole(tmp_path: Path) -> None:
    _, whole = imported(tmp_path / "whole", scene())
    cut = Cut(first_ns=START_NS + 5 * STEP_NS, last_ns=START_NS + 9 * STEP_NS)
    _, part = imported(tmp_path / "part", scene(), cut=cut)
    with whole, part:
        assert rows_of(part) == [5, 6, 7, 8, 9]
        np.testing.assert_array_equal(part.actions, whole.actions[5:10])
        np.testing.assert_array_equal(part.images("wrist"), whole.images("wrist", 5, 10))


def test_a_bag_beside_an_episode_takes_its_words_and_its_time(tmp_path: Path) -> None:
    _, episode = imported(tmp_path / "first", scene(), prompt="", task="ball", robot="sim")
    episode.close()
    wanted = beside_episode(episode.path)
    written = import_bag(tmp_path / "first" / "bag", tmp_path / "again", wanted).written[0]
    with EpisodeReader(episode.path) as one, EpisodeReader(written) as two:
        np.testing.assert_array_equal(one.stamps_ns, two.stamps_ns)
        assert two.info.metadata.task == "ball"
        assert two.info.metadata.prompt == "prompt 0"


def test_a_bag_of_which_no_step_can_be_made_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"expected steps, found none: .*'state' in \d+ steps"):
        imported(tmp_path, dropped(scene(), "/state", lambda m: m.index > 0))
    assert not list(tmp_path.glob("episodes/*"))


def test_a_missing_topic_and_a_wrong_type_are_named(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", scene(0.5))
    other = dataclasses.replace(ROBOT.cameras["scene"], topic="/front")
    with pytest.raises(BagError, match=r"expected the topics /front, found only /scene \(sensor_msgs/msg/Image\)"):
        import_bag(
            bag, tmp_path / "e", BagImport(dataclasses.replace(ROBOT, cameras={**ROBOT.cameras, "scene": other}))
        )
    compressed = dataclasses.replace(ROBOT.cameras["scene"], message="compressed")
    with pytest.raises(BagError, match="declare 'message: 'image'' in the embodiment"):
        import_bag(
            bag, tmp_path / "e", BagImport(dataclasses.replace(ROBOT, cameras={**ROBOT.cameras, "scene": compressed}))
        )
    broken = tmp_path / "bag" / "bag.mcap"
    broken.write_bytes(broken.read_bytes()[:-3000])
    with pytest.raises(BagError, match="broken or cut off"):
        import_bag(bag, tmp_path / "e", BagImport(ROBOT))
    assert not list(tmp_path.glob("e/*"))


# -- what real rosbag2 recorded ------------------------------------------------------------------------------------------


def bag_embodiment(compressed: bool) -> Embodiment:
    names = [f"fr3_joint{number}" for number in range(1, 8)]
    scene_topic = "/scene/image_raw/compressed" if compressed else "/scene/image_raw"
    kept = {"message": "compressed", "images": "jpeg"} if compressed else {}
    elements = {"path": "name", "names": names}

    def joints(topic: str, rate: int) -> dict[str, object]:
        return {
            "topic": topic,
            "type": "sensor_msgs/msg/JointState",
            "rate_hz": rate,
            "align": {"method": "interpolate", "tolerance_ms": 45},
            "elements": elements,
            "fields": {"position": {"path": "position", "unit": "rad"}},
        }

    declared = {
        "schema": "vla/embodiment/1",
        "name": "mock",
        "joints": [
            {"name": n, "position": {"min": -3, "max": 4}, "velocity": 2, "acceleration": 9, "jerk": 99} for n in names
        ],
        "cameras": {
            "scene": {
                "topic": scene_topic,
                "width": 320,
                "height": 240,
                "rate_hz": 3,
                "align": {"method": "nearest", "tolerance_ms": 1},
            }
            | kept,
            "wrist": {
                "topic": "/wrist/image_raw",
                "width": 240,
                "height": 180,
                "rate_hz": 5,
                "align": {"method": "latest_before", "tolerance_ms": 250},
            },
        },
        "streams": {
            "measured": joints("/franka/joint_states", 500),
            "commanded": joints("/joint_states", 100),
            "gripper": {
                "topic": "/gripper/command",
                "type": "std_msgs/msg/Float64",
                "rate_hz": 10,
                "stamp": "arrival",
                "align": {"method": "latest_before", "tolerance_ms": 500},
                "fields": {"position": {"path": "data", "unit": "m", "names": ["gripper"]}},
            },
        },
        "proprioception": {"qpos": ["measured.position", "gripper.position"]},
        "action": {"kind": "joint_position", "fields": ["commanded.position"]},
        "arm": {"name": "fr3_arm_controller", "controllers": "fr3"},
        "steps": {"clock": "scene", "rate_hz": 3},
    }
    return embodiment_from_mapping(declared, "mock")


def frame_of(image: np.ndarray) -> int:
    """The number that an image carries: 16 cells of 8x8 pixels, a bit each, with their inverse below."""
    grey = image[:16, :128].astype(float).mean(axis=2)
    cells = grey.reshape(2, 8, 16, 8)[:, 2:6, :, 2:6].mean(axis=(1, 3))
    return int("".join("1" if upper > lower else "0" for upper, lower in cells.T), 2)


@pytest.mark.parametrize("compressed", [False, True])
def test_what_rosbag2_recorded_becomes_what_its_publisher_noted(tmp_path: Path, compressed: bool) -> None:
    report = import_bag(BAGS / "scene_mcap", tmp_path, BagImport(bag_embodiment(compressed)))
    cameras = {role: TRUTH["topics"][f"/{role}/image_raw"] for role in ("scene", "wrist")}
    shown = {role: dict(zip(c["header_stamp_ns"], c["frame"], strict=True)) for role, c in cameras.items()}
    gripper = TRUTH["topics"]["/gripper/command"]
    received_ns = np.array([TRUTH["start_ns"] + round(t * 1e9) for t in gripper["receive_t"]])
    with EpisodeReader(report.written[0]) as episode:
        assert len(episode) >= 6
        wrist_stamps = np.array(sorted(shown["wrist"]))
        for row, stamp_ns in enumerate(episode.stamps_ns):
            assert frame_of(episode.image("scene", row)) == shown["scene"][int(stamp_ns)]
            latest = wrist_stamps[wrist_stamps <= stamp_ns][-1]  # by its header stamp, 15 ms before it was received
            assert episode.stream_stamps_ns("wrist")[row] == latest
            assert frame_of(episode.image("wrist", row)) == shown["wrist"][int(latest)]
            last = np.flatnonzero(received_ns <= stamp_ns + 1_000)[-1]
            assert episode.qpos[row, 7] == gripper["values"][last]
        assert set(episode.prompts) == {"pick up the red ball"}
        files = [episode.encoded_image("scene", row) for row in range(len(episode))]
        if compressed:
            with BagReader(BAGS / "scene_mcap") as bag:
                sent = {m.stamp_ns: bytes(m.value.data) for m in bag.messages(["/scene/image_raw/compressed"])}
            came = [sent[int(stamp_ns)] for stamp_ns in episode.stamps_ns]
            assert [bytes(file.data) for file in files if file is not None] == came
        else:
            assert set(files) == {None}
