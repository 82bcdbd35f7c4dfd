"""Policies on other machines: clients for openpi's and GR00T's servers, and a server of ours. No ROS, no torch."""

from vla_policy_node.remote.address import is_remote
from vla_policy_node.remote.policy import RemotePolicy, remote_policy

__all__ = ["RemotePolicy", "is_remote", "remote_policy"]
