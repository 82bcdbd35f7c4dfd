"""ACT, the Action Chunking Transformer (arXiv 2304.13705)."""

from vla_policies.act.config import ActConfig
from vla_policies.act.network import ActNetwork

__all__ = ["ActConfig", "ActNetwork"]
