"""CrossFormer: one transformer for many robots (arXiv 2408.11812)."""

from vla_policies.crossformer.config import CrossFormerConfig
from vla_policies.crossformer.policy_network import CrossFormerPolicy

__all__ = ["CrossFormerConfig", "CrossFormerPolicy"]
