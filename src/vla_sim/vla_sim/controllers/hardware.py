"""The state and command interfaces of the joints, as ros2_control's resource manager shares them out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_core.errors import ConfigError

Array = NDArray[np.float64]


STATE_KINDS = ("position", "velocity", "effort")


class JointInterfaces:
    """State interfaces and the command interface position of n joints.

    The arrays (n,) are shared: the plant's owner writes the states before a cycle and reads ``command`` after it. A command
    that was never written is NaN, and so is a state that the hardware does not measure [rad, rad/s, Nm; m, m/s, N].

    Args:
        joint_names: the joints, in the order of the arrays.
        state_kinds: which of position, velocity and effort the hardware measures.
    """

    def __init__(self, joint_names: Sequence[str], state_kinds: Sequence[str] = STATE_KINDS) -> None:
        self.joint_names = tuple(joint_names)
        self.state_kinds = tuple(state_kinds)
        self.position, self.velocity, self.effort, self.command = np.full((4, len(self.joint_names)), np.nan)

    @property
    def state_interfaces(self) -> tuple[str, ...]:
        """For example ``fr3_joint1/position``."""
        return tuple(f"{joint}/{kind}" for joint in self.joint_names for kind in self.state_kinds)

    @property
    def command_interfaces(self) -> tuple[str, ...]:
        return tuple(f"{joint}/position" for joint in self.joint_names)

    def indices(self, names: Sequence[str], wanted_by: str) -> NDArray[np.intp]:
        """Where the joints stand in the arrays.

        Raises:
            ConfigError: a name is not one of the robot's joints.
        """
        unknown = [name for name in names if name not in self.joint_names]
        if unknown:
            raise ConfigError(f"{wanted_by}: expected joints out of {list(self.joint_names)}, found {unknown}")
        return np.array([self.joint_names.index(name) for name in names], dtype=np.intp)
