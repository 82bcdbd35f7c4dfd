"""What a lab may set about its recorders: config/recorder.yaml, and parameters of recorder_node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field as Constraint

Positive = Annotated[float, Constraint(gt=0)]
NotNegative = Annotated[float, Constraint(ge=0)]


@dataclass(frozen=True, kw_only=True)
class RecorderSettings:
    """How much of the disk and of the memory recording may take."""

    usual_episode_s: Positive = field(
        default=60.0,
        metadata={
            "doc": "an episode of this length must fit on the disk to be started, until some have been recorded [s]"
        },
    )
    disk_reserve_mb: NotNegative = field(
        default=1000.0,
        metadata={"doc": "left free on the disk of the episodes: a recording that reaches it is stopped [MB]"},
    )
    queue_mb: Positive = field(
        default=256.0,
        metadata={"doc": "images that wait for a slow disk may take so much memory; more are dropped [MB]"},
    )
