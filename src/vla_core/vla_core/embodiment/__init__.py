"""Everything about a robot, once: joints and limits, cameras, streams, action space, controllers, rates, alignment."""

from vla_core.embodiment.compatibility import require_compatible
from vla_core.embodiment.limits import JointLimits
from vla_core.embodiment.loading import load_embodiment
from vla_core.embodiment.schema import Embodiment

__all__ = ["Embodiment", "JointLimits", "load_embodiment", "require_compatible"]
