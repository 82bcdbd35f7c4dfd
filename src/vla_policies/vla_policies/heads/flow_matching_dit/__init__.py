"""The action head of GR00T N1.5: flow matching by a diffusion transformer, with encoders and decoders for each embodiment."""

from vla_policies.heads.flow_matching_dit.config import FlowMatchingDitConfig
from vla_policies.heads.flow_matching_dit.head import FlowMatchingDitHead, sample_times

__all__ = ["FlowMatchingDitConfig", "FlowMatchingDitHead", "sample_times"]
