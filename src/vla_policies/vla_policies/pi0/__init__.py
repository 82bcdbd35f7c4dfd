"""pi0 (arXiv 2410.24164) and pi0.5 (arXiv 2504.16054): a vision-language model and an action expert that matches a flow."""

from vla_policies.pi0.config import Pi0Config, Pi05Config
from vla_policies.pi0.model import Pi0Model
from vla_policies.pi0.policy_network import Pi0PolicyNetwork

__all__ = ["Pi0Config", "Pi0Model", "Pi0PolicyNetwork", "Pi05Config"]
