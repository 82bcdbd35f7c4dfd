"""GR00T N1.5 (arXiv 2503.14734)."""

from vla_policies.groot.config import GrootConfig
from vla_policies.groot.policy_network import GrootNetwork

__all__ = ["GrootConfig", "GrootNetwork"]
