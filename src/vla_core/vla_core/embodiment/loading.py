"""Reading an embodiment file and checking that its parts fit each other."""

from __future__ import annotations

from pathlib import Path

from vla_core import config
from vla_core.embodiment.schema import Embodiment
from vla_core.errors import ConfigError, choice

_RATE_SHARE = 0.1  # a camera said to be of 30 Hz may be one of 29.97, or of 32


def load_embodiment(path: Path | str) -> Embodiment:
    """Reads an embodiment from YAML.

    Raises:
        ConfigError: one line for everything that is wrong, with its path and what was expected.
    """
    return check_embodiment(config.load(Embodiment, Path(path)), str(path))


def embodiment_from_mapping(data: object, where: str) -> Embodiment:
    """Reads an embodiment kept inside an episode or a checkpoint. Raises ConfigError as :func:`load_embodiment`."""
    return check_embodiment(config.from_mapping(Embodiment, data, where), where)


def check_embodiment(embodiment: Embodiment, where: str) -> Embodiment:
    """Checks everything that types cannot: names that refer to other parts, sizes, order of limits. Returns it unchanged."""
    problems = [
        *_check_joints(embodiment),
        *_check_names(embodiment),
        *_check_streams(embodiment),
        *_check_cameras(embodiment),
        *_check_references(embodiment),
    ]
    problems = problems or [*_check_action(embodiment), *_check_gripper(embodiment), *_check_kinematics(embodiment)]
    if problems:
        raise ConfigError("\n".join(f"{where}: {problem}" for problem in problems))
    return embodiment


def _check_joints(embodiment: Embodiment) -> list[str]:
    problems = []
    for index, joint in enumerate(embodiment.joints):
        if joint.position.min >= joint.position.max:
            problems.append(
                f"joints[{index}].position: expected min < max, found min {joint.position.min}, max {joint.position.max}"
            )
    names = embodiment.joint_names
    problems += [f"joints: '{name}' stands there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if not names:
        problems.append("joints: expected at least one, found none")
    return problems


def _check_names(embodiment: Embodiment) -> list[str]:
    """Cameras, depth cameras and streams are one namespace: a step holds a sample under each name."""
    problems = []
    taken = {name: f"cameras.{name}" for name in embodiment.cameras}
    for group, names in (("depth_cameras", embodiment.depth_cameras), ("streams", embodiment.streams)):
        for name in names:
            if name in taken:
                problems.append(f"{group}.{name}: expected a name of its own, found that of {taken[name]}")
            taken.setdefault(name, f"{group}.{name}")
    return problems


def _check_streams(embodiment: Embodiment) -> list[str]:
    problems = []
    for name, stream in embodiment.streams.items():
        if not stream.fields:
            problems.append(f"streams.{name}.fields: expected at least one, found none")
        for field_name, found in stream.fields.items():
            if bool(found.names) == bool(stream.elements):
                expected = "either its own 'names' or the stream's 'elements', not both and not neither"
                problems.append(f"streams.{name}.fields.{field_name}: expected {expected}")
    return problems


def _check_cameras(embodiment: Embodiment) -> list[str]:
    images = {f"cameras.{role}": camera.align for role, camera in embodiment.cameras.items()}
    images |= {f"depth_cameras.{role}": camera.align for role, camera in embodiment.depth_cameras.items()}
    problems = [
        f"{path}.align.method: expected 'nearest' or 'latest_before', found 'interpolate': an image between two is invented"
        for path, align in images.items()
        if align.method == "interpolate"
    ]
    return problems + _check_clock(embodiment)


def _check_clock(embodiment: Embodiment) -> list[str]:
    """Every so-manieth image of the clock makes a step: other step rates would be told wrongly."""
    steps = embodiment.steps
    clocks = [*embodiment.cameras, "fixed"]
    if steps.clock not in clocks:
        return [f"steps.clock: expected {choice(clocks)}, found '{steps.clock}'"]
    if steps.clock == "fixed":
        return []
    camera_hz = embodiment.cameras[steps.clock].rate_hz
    every = max(1, round(camera_hz / steps.rate_hz))
    if abs(camera_hz / every - steps.rate_hz) <= _RATE_SHARE * steps.rate_hz:
        return []
    return [
        f"steps.rate_hz: expected {camera_hz:g} Hz of the camera '{steps.clock}' or a whole fraction of it, "
        f"or 'steps.clock: fixed'; found {steps.rate_hz:g}"
    ]


def _check_references(embodiment: Embodiment) -> list[str]:
    known = [f"{name}.{field}" for name, stream in embodiment.streams.items() for field in stream.fields]
    groups = {f"proprioception.{group}": refs for group, refs in embodiment.proprioception.items()}
    groups["action.fields"] = embodiment.action.fields
    if embodiment.gripper is not None:
        groups["gripper.state"] = (embodiment.gripper.state,)
    problems = [
        f"{path}[{index}]: expected {choice(known)}, found '{reference}'"
        for path, references in groups.items()
        for index, reference in enumerate(references)
        if reference not in known
    ]
    if "qpos" not in embodiment.proprioception:
        problems.append("proprioception.qpos: missing")
    return problems


def _check_action(embodiment: Embodiment) -> list[str]:
    if embodiment.action.kind not in ("joint_position", "joint_delta"):
        return []  # what they need beside is asked for by whoever executes them: policies of such robots can be read without
    expected = [*embodiment.joint_names]
    if embodiment.gripper is not None:
        expected.append(embodiment.gripper.action)
    if list(embodiment.action_names) != expected:
        return [
            f"action.fields: expected the elements {expected} (the joints in order, then the gripper's action), "
            f"found {list(embodiment.action_names)}"
        ]
    return []


def _check_kinematics(embodiment: Embodiment) -> list[str]:
    kinematics = embodiment.kinematics
    if kinematics is None:
        return []
    problems = []
    if kinematics.posture and len(kinematics.posture) != len(embodiment.joints):
        found = len(kinematics.posture)
        problems.append(f"kinematics.posture: expected {len(embodiment.joints)} joint positions or none, found {found}")
    box = kinematics.workspace
    if box is not None and any(low >= high for low, high in zip(box.low, box.high, strict=True)):
        problems.append(f"kinematics.workspace: expected low < high along each axis, found {box.low} and {box.high}")
    return problems


def _check_gripper(embodiment: Embodiment) -> list[str]:
    gripper = embodiment.gripper
    if gripper is None or gripper.closed <= gripper.close_below <= gripper.open_above <= gripper.open:
        return []
    return [
        "gripper: expected closed <= close_below <= open_above <= open, found "
        f"{gripper.closed}, {gripper.close_below}, {gripper.open_above}, {gripper.open}"
    ]
