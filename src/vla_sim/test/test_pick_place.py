"""The task: where things lie, and when the work is done."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vla_core.embodiment.schema import Range
from vla_core.errors import ConfigError
from vla_sim.plant import Pose
from vla_sim.tasks import load_task
from vla_sim.tasks.pick_place import CUBE, MARK, PickPlace

SHIPPED = Path(__file__).parents[3] / "config" / "tasks" / "pick_place.yaml"
STEP_NS = 10_000_000


@given(seed=st.integers(0, 2**63 - 1))
def test_every_world_is_in_the_ranges_and_the_same_for_its_seed(task: PickPlace, seed: int) -> None:
    world, again = task.world(seed), task.world(seed)
    for name, ranges in ((CUBE, task.settings.cube), (MARK, task.settings.mark)):
        x, y, _ = world.objects[name].position
        assert ranges.x.min <= x <= ranges.x.max
        assert ranges.y.min <= y <= ranges.y.max
        assert (world.objects[name].position == again.objects[name].position).all()
    apart = np.hypot(*(world.objects[CUBE].position - world.objects[MARK].position)[:2])
    assert apart >= task.settings.least_distance
    assert world.objects[CUBE].position[2] == task.settings.cube.edge / 2
    assert world.objects[CUBE].yaw == pytest.approx(0.0)
    assert np.abs(world.arm_position - task.settings.home.arm_position).max() <= task.settings.home.spread
    assert (world.arm_position == again.arm_position).all()


def test_worlds_differ_and_a_yaw_range_turns_the_cube(task: PickPlace) -> None:
    cube = dataclasses.replace(task.settings.cube, yaw=Range(-0.5, 0.5))
    turned = PickPlace(dataclasses.replace(task.settings, cube=cube))
    yaws = [turned.world(seed).objects[CUBE].yaw for seed in range(50)]
    assert len({round(yaw, 6) for yaw in yaws}) == 50
    assert max(np.abs(yaws)) <= 0.5


class Episode:
    """A cube, a mark and fingers, watched every 10 ms."""

    def __init__(self, task: PickPlace) -> None:
        self.test = task.success_test()
        self.now_ns = 0

    def watch(self, seconds: float, cube: Pose, finger: float, drift: float = 0.0) -> list[bool]:
        mark = Pose.at(0.5, 0.0, 0.0005)
        results = []
        for step in range(round(seconds * 100)):
            self.now_ns += STEP_NS
            moved = Pose(cube.position + np.array([drift * step * 0.01, 0.0, 0.0]), cube.quaternion)
            results.append(self.test.update(self.now_ns, {CUBE: moved, MARK: mark}, finger))
        return results


ON_MARK = Pose.at(0.52, 0.02, 0.02)


def test_a_cube_that_rests_on_the_mark_for_a_while_with_the_fingers_open_is_a_success(task: PickPlace) -> None:
    results = Episode(task).watch(0.5, ON_MARK, 0.04)
    assert results.index(True) * 10 == pytest.approx(300, abs=20)
    assert all(results[40:])


@pytest.mark.parametrize(
    ("cube", "finger", "drift"),
    [
        (Pose.at(0.54, 0.0, 0.02), 0.04, 0.0),
        (Pose.at(0.5, 0.0, 0.03), 0.04, 0.0),
        (ON_MARK, 0.02, 0.0),
        (Pose.at(0.48, 0.0, 0.02), 0.04, 0.03),
    ],
    ids=["beside the mark", "above the table", "still held", "sliding"],
)
def test_anything_less_is_not(task: PickPlace, cube: Pose, finger: float, drift: float) -> None:
    assert not any(Episode(task).watch(0.6, cube, finger, drift))


def test_the_time_begins_anew_when_the_cube_is_touched_again(task: PickPlace) -> None:
    episode = Episode(task)
    assert not any(episode.watch(0.25, ON_MARK, 0.04))
    assert not any(episode.watch(0.02, ON_MARK, 0.02))
    assert not any(episode.watch(0.25, ON_MARK, 0.04))
    assert any(episode.watch(0.1, ON_MARK, 0.04))


def test_ranges_without_room_are_refused(task: PickPlace) -> None:
    crowded = PickPlace(dataclasses.replace(task.settings, least_distance=2.0))
    with pytest.raises(ConfigError, match=r"can be 2.0 m apart"):
        crowded.world(0)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", "stack", "name: expected 'pick_place', found 'stack'"),
        ("prompt", "", "prompt"),
        ("least_distance", -0.1, "least_distance"),
        ("colour", "red", "colour: unknown key"),
        ("mark", None, "mark: missing"),
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path: Path, key: str, value: object, message: str) -> None:
    data = yaml.safe_load(SHIPPED.read_text())
    data[key] = value
    if value is None:
        del data[key]
    path = tmp_path / "task.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match=message):
        load_task(path)


def test_the_shipped_task_loads() -> None:
    task = load_task(SHIPPED)
    assert (task.name, task.prompt) == ("pick_place", "put the cube on the mark")
    assert [thing.name for thing in task.objects()] == [CUBE, MARK]
