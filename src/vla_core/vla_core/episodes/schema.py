"""Every name in an episode file, once: datasets, groups and attributes of schema ``vla/episode/1``.

The datasets outside of ``/vla`` are the layout of ALOHA and ACT (github.com/tonyzhaozh/act, record_sim_episodes.py and utils.py).
"""

from __future__ import annotations

SCHEMA_VERSION = "vla/episode/1"

ACTION = "action"
VLA = "vla"
STAMPS = "vla/stamp_ns"
MARKERS = "vla/marker"
STAMP_NS = "stamp_ns"
AGE_NS = "age_ns"
VALUE = "value"

STEP_MARKER = 0
END_MARKER = 1


def proprioception(group: str) -> str:
    """Dataset of a proprioception group (T, n) float64."""
    return f"observations/{group}"


def image(role: str) -> str:
    """Dataset of a camera's images (T, H, W, 3) uint8."""
    return f"observations/images/{role}"


def stream(name: str, leaf: str) -> str:
    """Dataset of what is kept beside a camera's or stream's values: ``stamp_ns``, ``age_ns`` or ``value``."""
    return f"vla/streams/{name}/{leaf}"


class RootAttribute:
    """Attributes of the file, read by the original ACT loader and its relatives."""

    SIM = "sim"
    COMPRESS = "compress"


class DatasetAttribute:
    """Attributes of datasets."""

    NAMES = "names"
    UNITS = "units"
    COLOR_ORDER = "color_order"


class Attribute:
    """Attributes of the group ``/vla``."""

    SCHEMA = "schema"
    COMPLETE = "complete"
    STEPS = "steps"
    PROMPT = "prompt"
    OUTCOME = "outcome"
    ROBOT = "robot"
    EMBODIMENT = "embodiment"
    TASK = "task"
    SEED = "seed"
    POLICY_ID = "policy_id"
    CREATED = "created"
    STEP_RATE_HZ = "step_rate_hz"
    DROPPED_STEPS = "dropped_steps"
    DROPPED_BESIDE = "dropped_beside"
    PROMPTS = "prompts"
    RECOVERED = "recovered"
    RECORDER = "recorder"
    STREAMS = "streams"
