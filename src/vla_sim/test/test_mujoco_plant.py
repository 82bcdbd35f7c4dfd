"""The physics: the published arm, joints that follow, a gripper that holds, cameras that see."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from vla_core.errors import ConfigError
from vla_sim import rendering
from vla_sim.errors import SimulationError
from vla_sim.models import RobotModel, load_robot_model, shipped_model
from vla_sim.models.objects import Box
from vla_sim.mujoco_plant import MujocoPlant
from vla_sim.plant import Pose, World
from vla_sim.tasks.pick_place import CUBE, MARK, PickPlace

READY = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])  # of franka_ros2
STILL = np.zeros(7)
LIMITS = np.array([87.0] * 4 + [12.0] * 3)


def world(arm: np.ndarray = READY, cube: Pose | None = None, finger: float = 0.04) -> World:
    return World(arm, finger, {CUBE: cube or Pose.at(0.5, 0.1, 0.02), MARK: Pose.at(0.5, -0.1, 0.0005)})


def move(plant: MujocoPlant, distance: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """All joints there and back on a smooth curve. Returns the errors (k, 7) and the efforts (k, 7)."""
    plant.reset(world())
    errors, efforts = [], []
    for cycle in range(round(seconds * 1000)):
        phase = 2.0 * np.pi * (cycle + 1) * 1e-3 / seconds
        wanted = READY + 0.5 * distance * (1.0 - np.cos(phase))
        plant.step(wanted, np.full(7, np.pi * distance / seconds * np.sin(phase)), 0.04, 30.0)
        state = plant.joint_state()
        errors.append(state.position - wanted)
        efforts.append(state.effort)
    return np.array(errors), np.array(efforts)


def test_the_ready_pose_puts_the_tool_where_the_published_kinematics_do(plant: MujocoPlant) -> None:
    plant.reset(world())
    pose = plant.tcp_pose()
    assert pose.position == pytest.approx([0.3068906, 0.0, 0.4868821], abs=1e-6)
    assert np.abs(pose.quaternion) == pytest.approx([0.0, 1.0, 0.0, 0.0], abs=1e-9)  # pointing down


def test_the_arm_has_the_published_mass(plant: MujocoPlant) -> None:
    hand = plant._model.body("fr3_hand")
    links = [plant._model.body(f"fr3_link{index}") for index in range(1, 8)]
    assert sum(float(link.mass[0]) for link in links) == pytest.approx(15.4945, abs=1e-3)
    assert float(hand.mass[0]) == pytest.approx(0.6544)


def test_joints_follow_a_smooth_motion_within_two_milliradians_and_their_torque(plant: MujocoPlant) -> None:
    errors, efforts = move(plant, distance=0.4, seconds=1.5)
    assert np.abs(errors).max() < 2e-3
    assert (np.abs(efforts) <= LIMITS).all()


def test_there_is_no_steady_error_and_the_efforts_hold_gravity(plant: MujocoPlant) -> None:
    plant.reset(world())
    for _ in range(500):
        plant.step(READY, STILL, 0.04, 30.0)
    state = plant.joint_state()
    assert state.position == pytest.approx(READY, abs=1e-6)
    assert abs(state.effort[3]) > 10.0  # the forearm's weight on the elbow
    assert state.velocity == pytest.approx(STILL, abs=1e-6)


def test_no_command_gets_more_than_the_torque_limit(plant: MujocoPlant) -> None:
    plant.reset(world())
    efforts = []
    for _ in range(50):
        plant.step(READY + 1.0, STILL, 0.04, 30.0)
        efforts.append(plant.joint_state().effort)
    most = np.abs(efforts).max(axis=0)
    assert (most <= LIMITS + 1e-9).all()
    assert most == pytest.approx(LIMITS)


def test_the_hand_does_not_go_through_the_table(plant: MujocoPlant, task: PickPlace) -> None:
    home = np.array(task.settings.home.arm_position)
    plant.reset(world(home))
    for cycle in range(1500):
        plant.step(home + np.array([0.0, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0]) * min(1.0, cycle / 1000), STILL, 0.0, 30.0)
    assert plant.tcp_pose().position[2] > -0.005


def test_a_squeezed_cube_stays_in_the_hand_while_the_arm_shakes_it(plant: MujocoPlant) -> None:
    tcp = np.array([0.3068906, 0.0, 0.4868821])
    plant.reset(world(cube=Pose(tcp, np.array([1.0, 0.0, 0.0, 0.0])), finger=0.0205))
    for cycle in range(2000):
        swing = 0.1 * np.sin(2.0 * np.pi * 2.0 * max(0, cycle - 200) * 1e-3)
        plant.step(READY + swing * np.array([1, 0, 0, 1, 0, 1, 0]), STILL, 0.0, 20.0)
    assert np.linalg.norm(plant.object_poses()[CUBE].position - plant.tcp_pose().position) < 0.008
    assert plant.finger_state().position.mean() == pytest.approx(0.02, abs=1e-3)


def test_no_cube_is_shot_out_of_the_closing_hand(plant: MujocoPlant) -> None:
    random = np.random.default_rng(1)
    tcp = np.array([0.3068906, 0.0, 0.4868821])
    gravity = plant._model.opt.gravity
    for _ in range(10):
        off = random.uniform([-0.008, 0.0, -0.008], [0.008, 0.0, 0.008])
        plant.reset(world(cube=Pose.at(*(tcp + off), random.uniform(-0.3, 0.3)), finger=0.026))
        rate, amplitude = 2.0 * np.pi * random.uniform(1.0, 3.0, 7), random.uniform(-0.08, 0.08, 7)
        for cycle in range(800):
            gravity[2] = -9.81 if cycle >= 200 else 0.0  # from when the fingers hold it
            phase = rate * max(0, cycle - 250) * 1e-3
            velocity = amplitude * rate * np.cos(phase) * (cycle > 250)
            plant.step(READY + amplitude * np.sin(phase), velocity, max(0.0, 0.026 - 5e-5 * cycle), 20.0)
        assert np.linalg.norm(plant.object_poses()[CUBE].position - plant.tcp_pose().position) < 0.02


def test_both_fingers_move_together(plant: MujocoPlant) -> None:
    plant.reset(world())
    for cycle in range(600):
        plant.step(READY, STILL, 0.04 - 5e-5 * cycle, 30.0)
        left, right = plant.finger_state().position
        assert left == pytest.approx(right, abs=5e-4)
    assert left == pytest.approx(0.01, abs=2e-3)


def test_the_same_steps_give_the_same_bits(fr3: RobotModel, task: PickPlace) -> None:
    ends = []
    for _ in range(2):
        made = MujocoPlant(fr3, task.objects())
        move(made, 0.3, 0.2)
        ends.append((made.joint_state(), made.object_poses()[CUBE]))
    assert all((one == other).all() for one, other in zip(ends[0][0], ends[1][0], strict=True))
    assert (ends[0][1].position == ends[1][1].position).all()


@pytest.mark.parametrize("camera", ["scene", "wrist"])
def test_the_cameras_see_cube_and_mark_and_where_they_are(plant: MujocoPlant, task: PickPlace, camera: str) -> None:
    home = np.array(task.settings.home.arm_position)
    seen = {}
    for x, y in ((0.42, 0.15), (0.58, 0.15), (0.42, -0.15), (0.58, -0.15)):
        plant.reset(world(home, Pose.at(x, y, 0.02)))
        image = plant.render(camera, 128, 96).astype(int)
        assert image.shape == (96, 128, 3)
        red = np.argwhere((image[:, :, 0] > 100) & (image[:, :, 1] < 70) & (image[:, :, 2] < 70))
        green = np.argwhere((image[:, :, 1] > 120) & (image[:, :, 0] < 110) & (image[:, :, 2] < 130))
        assert len(red) > 25
        assert len(green) > 40
        seen[x, y] = red.mean(axis=0)
    assert seen[0.58, 0.15][0] > seen[0.42, 0.15][0] + 10  # farther from the robot's base is lower in the picture
    assert seen[0.58, 0.15][1] > seen[0.58, -0.15][1] + 20  # left of the robot is right in the picture


def test_images_have_the_size_asked_for_and_do_not_depend_on_the_one_before(plant: MujocoPlant) -> None:
    plant.reset(world())
    small = plant.render("scene", 128, 96)
    assert plant.render("wrist", 320, 240).shape == (240, 320, 3)
    assert (plant.render("scene", 128, 96) == small).all()
    assert small.dtype == np.uint8


def test_an_unknown_camera_is_refused_with_the_ones_there_are(plant: MujocoPlant) -> None:
    with pytest.raises(SimulationError, match="expected 'scene' or 'wrist', found 'top'"):
        plant.render("top", 128, 96)


def test_a_world_that_lacks_an_object_is_refused(plant: MujocoPlant) -> None:
    with pytest.raises(SimulationError, match="expected poses of"):
        plant.reset(World(READY, 0.04, {CUBE: Pose.at(0.5, 0.0, 0.02)}))
    with pytest.raises(SimulationError, match="7 joints"):
        plant.reset(dataclasses.replace(world(), arm_position=READY[:6]))


def test_a_machine_that_cannot_render_is_told_what_to_install(
    fr3: RobotModel, task: PickPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(rendering, "_LIBRARIES", {"egl": "libMissing.so.1", "osmesa": "libMissing.so.8"})
    made = MujocoPlant(fr3, task.objects())
    made.reset(world())
    with pytest.raises(SimulationError, match="libegl1 libgl1-mesa-dri"):
        made.render("scene", 128, 96)


OTHER = """<mujoco>
  <option timestep="0.0004"/>
  <worldbody>
    <light pos="0 0 2"/>
    <camera name="eye" pos="0 -1 0.3" xyaxes="1 0 0 0 0 1"/>
    <body gravcomp="1"><joint name="shoulder" axis="0 1 0"/><geom type="capsule" size="0.02" fromto="0 0 0 0.3 0 0"/>
      <body pos="0.3 0 0" gravcomp="1"><joint name="elbow" axis="0 1 0"/><geom type="capsule" size="0.02" fromto="0 0 0 0.3 0 0"/>
        <site name="tip" pos="0.3 0 0"/></body></body>
  </worldbody>
  <actuator><motor joint="elbow"/></actuator>
  <keyframe><key qpos="1 1" ctrl="1"/></keyframe>
</mujoco>"""
DESCRIPTION = """schema: vla/robot_model/1
name: other
mjcf: other.xml
tcp_site: tip
joints:
  - {name: shoulder, stiffness: 500, damping: 20, max_effort: 50}
  - {name: elbow, stiffness: 500, damping: 20, max_effort: 50}
cameras: {scene: eye}
"""


def other(folder: Path, description: str = DESCRIPTION, mjcf: str = OTHER) -> MujocoPlant:
    (folder / "other.xml").write_text(mjcf)
    (folder / "other.yaml").write_text(description)
    return MujocoPlant(load_robot_model(folder / "other.yaml"), [Box("toy", 0.03, 0.02, (0, 0, 1, 1))])


def test_another_mjcf_can_be_named_whatever_its_actuators_and_time_step(tmp_path: Path) -> None:
    made = other(tmp_path)
    made.reset(World(np.array([0.3, -0.2]), 0.0, {"toy": Pose.at(1.0, 0.0, 0.0)}))
    for _ in range(1000):
        made.step(np.array([0.5, -0.4]), np.zeros(2), 0.0, 0.0)
    assert made.joint_state().position == pytest.approx([0.5, -0.4], abs=1e-3)
    assert made.finger_state().position.shape == (0,)
    assert made._data.time == pytest.approx(1.0)
    assert made.render("scene", 64, 48).std() > 1.0


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (DESCRIPTION.replace("name: elbow", "name: wrist"), "expected a joint out of .*'elbow'.*found 'wrist'"),
        (DESCRIPTION.replace("tcp_site: tip", "tcp_site: tcp"), "tcp_site: expected a name in the MJCF, found 'tcp'"),
        (DESCRIPTION.replace("scene: eye", "scene: front"), "camera of the role 'scene'.*found 'front'"),
        (DESCRIPTION.replace("other.xml", "none.xml"), "none.xml: cannot be read as MJCF"),
    ],
)
def test_a_description_that_does_not_fit_its_mjcf_is_refused(tmp_path: Path, description: str, message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        other(tmp_path, description)


def test_a_wrong_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fingers: expected two or none, found 1"):
        other(tmp_path, DESCRIPTION + "fingers: [{name: elbow, stiffness: 1, damping: 1}]\n")
    with pytest.raises(ConfigError, match=r"joints\[0\].stiffness"):
        other(tmp_path, DESCRIPTION.replace("stiffness: 500", "stiffness: -1"))
    with pytest.raises(ConfigError, match="robot model: expected 'fr3', found 'ur5'"):
        shipped_model("ur5")
