"""What the arm's controller was commanded at 1 kHz, joint by joint, against the limits of the embodiment."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment, JointLimits
from vla_core.errors import EmbodimentMismatch, EpisodeError
from vla_core.motion.measure import CommandMeter, CommandQuality

KINDS = ("position", "velocity", "acceleration", "jerk")
_KEYS = {"joint_names", "time_ns", "command", "position"}


@dataclass(frozen=True, eq=False)
class Trace:
    """What the simulator kept of one world.

    Attributes:
        joint_names: n names.
        time_ns: (k,) of each cycle [ns].
        command: (k, n) commanded positions [rad].
        position: (k, n) measured positions [rad].
    """

    joint_names: tuple[str, ...]
    time_ns: NDArray[np.int64]
    command: NDArray[np.float64]
    position: NDArray[np.float64]


def read_trace(path: Path) -> Trace:
    """Reads a trace of the simulator.

    Raises:
        EpisodeError: there is no such file, or it is no trace.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if missing := sorted(_KEYS - set(arrays.files)):
                raise EpisodeError(f"{path}: expected a trace of the simulator, missing are {', '.join(missing)}")
            names = tuple(str(name) for name in arrays["joint_names"])
            return Trace(names, arrays["time_ns"], arrays["command"], arrays["position"])
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise EpisodeError(f"{path}: expected a trace of the simulator: {error}") from error


def joint_figures(traces: Iterable[Path], embodiment: Embodiment) -> dict[str, dict[str, Any]]:
    """Measures each joint over several traces, by finite differences of its commanded positions.

    Returns:
        By joint: ``use`` of velocity, acceleration and jerk (largest share, 1 is the limit), and ``violations`` (values
        beyond the limit) of these and of position.

    Raises:
        EpisodeError: a file is no trace.
        EmbodimentMismatch: a trace is of other joints.
    """
    found = {name: CommandQuality() for name in embodiment.joint_names}
    for path in traces:
        trace = read_trace(path)
        if trace.joint_names != embodiment.joint_names:
            expected = list(embodiment.joint_names)
            raise EmbodimentMismatch(f"{path}: expected the joints {expected}, found {list(trace.joint_names)}")
        for name, quality in _qualities(trace, JointLimits.of(embodiment)).items():
            found[name] = found[name].merged(quality)
    return {
        name: {
            "use": {kind: getattr(quality, f"{kind}_use") for kind in KINDS[1:]},
            "violations": {kind: getattr(quality, kind) for kind in KINDS},
        }
        for name, quality in found.items()
    }


def _qualities(trace: Trace, limits: JointLimits) -> dict[str, CommandQuality]:
    period_s = float(np.median(np.diff(trace.time_ns))) * 1e-9
    qualities = {}
    for index, name in enumerate(trace.joint_names):
        meter = CommandMeter(_of_joint(limits, index), period_s)
        meter.add(trace.command[:, index : index + 1])
        qualities[name] = meter.quality
    return qualities


def _of_joint(limits: JointLimits, index: int) -> JointLimits:
    values = {field.name: getattr(limits, field.name)[index : index + 1] for field in dataclasses.fields(limits)}
    return JointLimits(**values)
