"""A plant with physics: MuJoCo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_core.errors import choice
from vla_sim.errors import SimulationError
from vla_sim.models.objects import SceneObject
from vla_sim.models.robot_model import FingerModel, JointModel, RobotModel
from vla_sim.plant import Array, JointState, Pose, World
from vla_sim.rendering import OffscreenRenderer

_FINGER_FORCE = 30.0  # [N] until the gripper says otherwise


class MujocoPlant:
    """The model's joints follow commanded positions and velocities stiffly, as the robot's own position controller does.

    The actuators and keyframes of the MJCF are replaced. Gravity is compensated by the joints (bodies with ``gravcomp``), so
    that the measured efforts hold it, as on the robot, and the limit of the torque holds for the sum.

    Args:
        model: the robot.
        objects: things on the table.
        period_s: of a step; physics runs in the model's time step or a little less, so that a whole number fits [s].

    Raises:
        SimulationError: the MJCF cannot be read, or a name in ``model`` is not in it.
    """

    def __init__(self, model: RobotModel, objects: Sequence[SceneObject] = (), period_s: float = 0.001) -> None:
        self.robot = model
        self.period_s = period_s
        self._substeps, self._model = _compile(model, objects, period_s)
        self._data = mujoco.MjData(self._model)
        joints = [self._model.joint(joint.name) for joint in model.joints]
        fingers = [self._model.joint(finger.name) for finger in model.fingers]
        self._qpos, self._dofs = _addresses(joints)
        self._finger_qpos, self._finger_dofs = _addresses(fingers)
        self._lead_s = np.array([joint.damping / joint.stiffness for joint in model.joints])
        self._arm = slice(0, len(joints))
        self._fingers = slice(len(joints), len(joints) + len(fingers))
        self._finger_force = np.nan
        self._objects = tuple(thing.name for thing in objects)
        self._renderer = OffscreenRenderer(self._model)
        for role, name in model.cameras.items():
            _require(self._model, mujoco.mjtObj.mjOBJ_CAMERA, name, f"camera of the role '{role}'")

    @property
    def joint_names(self) -> tuple[str, ...]:
        return self.robot.joint_names

    def reset(self, world: World) -> None:
        """Puts the world to its start, at rest.

        Raises:
            SimulationError: the world does not say where every object is, or the arm has another number of joints.
        """
        if set(world.objects) != set(self._objects) or len(world.arm_position) != len(self._qpos):
            expected = f"poses of {list(self._objects)} and {len(self._qpos)} joints"
            found = f"poses of {list(world.objects)} and {len(world.arm_position)} joints"
            raise SimulationError(f"reset: expected {expected}, found {found}")
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[self._qpos] = world.arm_position
        self._data.qpos[self._finger_qpos] = world.finger_position
        for name, pose in world.objects.items():
            self._place(name, pose)
        self._limit_finger_force(_FINGER_FORCE)
        self._data.ctrl[self._arm] = world.arm_position
        self._data.ctrl[self._fingers] = world.finger_position
        mujoco.mj_forward(self._model, self._data)

    def step(self, position: Array, velocity: Array, finger_position: float, finger_force: float) -> None:
        if finger_force != self._finger_force:
            self._limit_finger_force(finger_force)
        # stiffness * (target - q) - damping * dq, with the target ahead by what the damping would hold back
        self._data.ctrl[self._arm] = position + self._lead_s * velocity
        self._data.ctrl[self._fingers] = finger_position
        mujoco.mj_step(self._model, self._data, self._substeps)

    def joint_state(self) -> JointState:
        data = self._data
        return JointState(data.qpos[self._qpos], data.qvel[self._dofs], data.qfrc_actuator[self._dofs])

    def finger_state(self) -> JointState:
        data = self._data
        return JointState(
            data.qpos[self._finger_qpos], data.qvel[self._finger_dofs], data.qfrc_actuator[self._finger_dofs]
        )

    def object_poses(self) -> Mapping[str, Pose]:
        return {name: self._pose(name) for name in self._objects}

    def tcp_pose(self) -> Pose:
        """Pose of the tool centre point as of the last step."""
        site = self._data.site(self.robot.tcp_site)
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, site.xmat)
        return Pose(site.xpos.copy(), quaternion)

    def render(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        if camera not in self.robot.cameras:
            raise SimulationError(f"camera: expected {choice(self.robot.cameras)}, found '{camera}'")
        return self._renderer.render(self._data, self.robot.cameras[camera], width, height)

    def close(self) -> None:
        """Frees what rendering holds."""
        self._renderer.close()

    def _limit_finger_force(self, force: float) -> None:
        self._finger_force = force
        self._model.actuator_forcerange[self._fingers] = (-force, force)

    def _place(self, name: str, pose: Pose) -> None:
        body = self._model.body(name)
        if body.mocapid[0] >= 0:
            self._data.mocap_pos[body.mocapid[0]] = pose.position
            self._data.mocap_quat[body.mocapid[0]] = pose.quaternion
            return
        address = int(self._model.jnt_qposadr[body.jntadr[0]])
        self._data.qpos[address : address + 7] = [*pose.position, *pose.quaternion]

    def _pose(self, name: str) -> Pose:
        body = self._model.body(name)
        if body.mocapid[0] >= 0:
            return Pose(self._data.mocap_pos[body.mocapid[0]].copy(), self._data.mocap_quat[body.mocapid[0]].copy())
        address = int(self._model.jnt_qposadr[body.jntadr[0]])
        position, quaternion = np.split(self._data.qpos[address : address + 7].copy(), [3])
        return Pose(position, quaternion)


def load_spec(model: RobotModel) -> mujoco.MjSpec:
    """The robot's MJCF without its actuators and keyframes, which hold only for the joints that are there.

    Raises:
        SimulationError: it cannot be read.
    """
    try:
        spec = mujoco.MjSpec.from_file(str(model.path))
    except (ValueError, OSError) as error:
        raise SimulationError(f"{model.path}: cannot be read as MJCF: {error}") from error
    for element in (*spec.actuators, *spec.keys):
        spec.delete(element)
    return spec


def _compile(model: RobotModel, objects: Sequence[SceneObject], period_s: float) -> tuple[int, mujoco.MjModel]:
    """Returns the number of physics steps in a period, and the compiled model."""
    spec = load_spec(model)
    substeps = max(1, int(np.ceil(period_s / spec.option.timestep - 1e-9)))
    spec.option.timestep = period_s / substeps
    for joint in model.joints:
        _add_actuator(spec, joint)
        found = spec.joint(joint.name)
        found.actgravcomp, found.actfrclimited, found.actfrcrange = True, True, (-joint.max_effort, joint.max_effort)
    for finger in model.fingers:
        actuator = _add_actuator(spec, finger)
        actuator.forcelimited, actuator.forcerange = True, (-_FINGER_FORCE, _FINGER_FORCE)
    for thing in objects:
        thing.add_to(spec)
    compiled = spec.compile()
    _require(compiled, mujoco.mjtObj.mjOBJ_SITE, model.tcp_site, "tcp_site")
    return substeps, compiled


def _add_actuator(spec: mujoco.MjSpec, joint: JointModel | FingerModel) -> mujoco.MjsActuator:
    if spec.joint(joint.name) is None:
        known = [found.name for found in spec.joints]
        raise SimulationError(f"robot model: expected a joint out of {known}, found '{joint.name}'")
    actuator = spec.add_actuator(name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.set_to_position(kp=joint.stiffness, kv=joint.damping)
    return actuator


def _require(model: mujoco.MjModel, kind: mujoco.mjtObj, name: str, what: str) -> None:
    if mujoco.mj_name2id(model, kind, name) < 0:
        raise SimulationError(f"robot model: {what}: expected a name in the MJCF, found '{name}'")


def _addresses(joints: Sequence[object]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the joints' positions and velocities stand in the state."""
    qpos = np.array([joint.qposadr[0] for joint in joints], dtype=np.intp)  # type: ignore[attr-defined]
    dofs = np.array([joint.dofadr[0] for joint in joints], dtype=np.intp)  # type: ignore[attr-defined]
    return qpos, dofs
