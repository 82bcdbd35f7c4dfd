"""OpenVLA (arXiv 2406.09246) and OpenVLA-OFT (arXiv 2502.19645)."""

from vla_policies.openvla.config import OpenVlaConfig
from vla_policies.openvla.policy_network import OpenVlaNetwork

__all__ = ["OpenVlaConfig", "OpenVlaNetwork"]
