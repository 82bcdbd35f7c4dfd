"""What is known about an episode, as attributes of the group ``/vla``, and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vla_core import config
from vla_core.embodiment.loading import embodiment_from_mapping
from vla_core.embodiment.schema import Embodiment
from vla_core.episodes.metadata import EpisodeInfo, EpisodeMetadata, RecordingSummary, StreamSummary
from vla_core.episodes.schema import SCHEMA_VERSION, Attribute
from vla_core.errors import ConfigError, EpisodeError


def attributes_at_start(metadata: EpisodeMetadata, recorder: str, created: datetime) -> dict[str, Any]:
    """The attributes of an episode that has just begun."""
    attributes = {
        Attribute.SCHEMA: SCHEMA_VERSION,
        Attribute.COMPLETE: False,
        Attribute.STEPS: 0,
        Attribute.PROMPT: metadata.prompt,
        Attribute.PROMPTS: json.dumps([metadata.prompt]),
        Attribute.ROBOT: metadata.robot,
        Attribute.EMBODIMENT: json.dumps(config.to_mapping(metadata.embodiment)),
        Attribute.TASK: metadata.task,
        Attribute.CREATED: created.isoformat(timespec="milliseconds"),
        Attribute.STEP_RATE_HZ: metadata.embodiment.steps.rate_hz,
        Attribute.RECORDER: recorder,
    }
    if metadata.seed is not None:
        attributes[Attribute.SEED] = metadata.seed
    if metadata.policy_id:
        attributes[Attribute.POLICY_ID] = metadata.policy_id
    return attributes


def attributes_at_end(outcome: str, summary: RecordingSummary) -> dict[str, Any]:
    """The attributes that complete an episode."""
    streams = {name: dataclasses.asdict(found) for name, found in summary.streams.items()}
    return {
        Attribute.OUTCOME: outcome,
        Attribute.DROPPED_STEPS: summary.dropped_steps,
        Attribute.DROPPED_BESIDE: summary.dropped_beside,
        Attribute.STREAMS: json.dumps(streams),
        Attribute.COMPLETE: True,
    }


def require_finished(attributes: Mapping[str, Any], where: str) -> None:
    """Refuses an episode of another schema, and one that was not finished.

    Raises:
        EpisodeError: says which.
    """
    found = attributes.get(Attribute.SCHEMA)
    if found != SCHEMA_VERSION:
        raise EpisodeError(f"{where}: expected schema '{SCHEMA_VERSION}', found {repr(found) if found else 'none'}")
    if not attributes.get(Attribute.COMPLETE):
        raise EpisodeError(
            f"{where}: expected a finished episode, found a partial one: its recording was not completed"
        )


def info_from(attributes: Mapping[str, Any], where: str) -> EpisodeInfo:
    """Reads the attributes of a finished episode.

    Raises:
        EpisodeError: an attribute is missing or cannot be read; names it.
    """
    try:
        streams = json.loads(attributes[Attribute.STREAMS])
        return EpisodeInfo(
            metadata=_metadata_from(attributes, where),
            outcome=str(attributes[Attribute.OUTCOME]),
            created=str(attributes[Attribute.CREATED]),
            steps=int(attributes[Attribute.STEPS]),
            summary=RecordingSummary(
                dropped_steps=int(attributes[Attribute.DROPPED_STEPS]),
                streams={name: StreamSummary(**fields) for name, fields in streams.items()},
                dropped_beside=int(attributes[Attribute.DROPPED_BESIDE]),
            ),
            schema=str(attributes[Attribute.SCHEMA]),
            recorder=str(attributes[Attribute.RECORDER]),
            prompts=tuple(str(prompt) for prompt in json.loads(attributes[Attribute.PROMPTS])),
            recovered=str(attributes.get(Attribute.RECOVERED, "")),
        )
    except KeyError as error:
        raise EpisodeError(f"{where}: expected the attribute {error} of /vla, found none") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise EpisodeError(f"{where}: the attributes of /vla cannot be read: {error}") from error


def embodiment_from(attributes: Mapping[str, Any], where: str) -> Embodiment:
    """Reads the embodiment of an episode, finished or not.

    Raises:
        EpisodeError: it is missing or cannot be read.
    """
    try:
        return embodiment_from_mapping(json.loads(attributes[Attribute.EMBODIMENT]), f"{where}: embodiment")
    except KeyError as error:
        raise EpisodeError(f"{where}: expected the attribute {error} of /vla, found none") from error
    except (ConfigError, ValueError, TypeError) as error:
        raise EpisodeError(str(error)) from error


def _metadata_from(attributes: Mapping[str, Any], where: str) -> EpisodeMetadata:
    seed = attributes.get(Attribute.SEED)
    return EpisodeMetadata(
        prompt=str(attributes[Attribute.PROMPT]),
        robot=str(attributes[Attribute.ROBOT]),
        embodiment=embodiment_from(attributes, where),
        task=str(attributes[Attribute.TASK]),
        seed=None if seed is None else int(seed),
        policy_id=str(attributes.get(Attribute.POLICY_ID, "")),
    )
