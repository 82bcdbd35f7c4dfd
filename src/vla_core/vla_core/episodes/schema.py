"""Every name in an episode file, once: datasets, groups and attributes of schema ``vla/episode/1``.

The datasets outside of ``/vla`` are the layout of ALOHA and ACT (github.com/tonyzhaozh/act, record_sim_episodes.py and utils.py),
JPEG images that of its compressed variant (github.com/Interbotix/aloha, record_episodes.py).
"""

from __future__ import annotations

SCHEMA_VERSION = "vla/episode/1"

ACTION = "action"
COMPRESS_LEN = "compress_len"
VLA = "vla"
STAMPS = "vla/stamp_ns"
MARKERS = "vla/marker"
PROMPT_INDEX = "vla/prompt_index"
POLICY_DRIVES = "vla/policy_drives"
ROLLOUT = "vla/rollout"

STAMP_NS = "stamp_ns"
AGE_NS = "age_ns"
VALUE = "value"
VALID = "valid"
RECEIVE_NS = "receive_ns"

STEP_MARKER = 0
END_MARKER = 1


def proprioception(group: str) -> str:
    """Dataset of a proprioception group (T, n) float64."""
    return f"observations/{group}"


def image(role: str) -> str:
    """Dataset of a camera's images (T, H, W, 3) uint8, or (T, bytes) uint8 as JPEG files."""
    return f"observations/images/{role}"


def depth(role: str) -> str:
    """Dataset of a depth camera's images (T, H, W) uint16 or float32."""
    return f"observations/depth/{role}"


def stream(name: str, leaf: str) -> str:
    """Dataset of what is kept beside a camera's or stream's values: ``stamp_ns``, ``age_ns``, ``valid`` or ``value``."""
    return f"vla/streams/{name}/{leaf}"


def native(name: str, leaf: str) -> str:
    """Dataset of a stream at its own rate: ``stamp_ns``, ``receive_ns`` or ``value``."""
    return f"vla/native/{name}/{leaf}"


def rollout(leaf: str) -> str:
    """Dataset of a rollout's chunks: one of :class:`RolloutDataset`."""
    return f"{ROLLOUT}/{leaf}"


class RolloutDataset:
    """Datasets of the group ``/vla/rollout``."""

    OBSERVATION_NS = "observation_ns"
    START_NS = "start_ns"
    STEP_NS = "step_ns"
    RECEIVE_NS = "receive_ns"
    LATENCY_NS = "latency_ns"
    SEQUENCE = "sequence"
    SHADOW = "shadow"
    HORIZON = "horizon"
    POLICY_INDEX = "policy_index"
    STRATEGY_INDEX = "strategy_index"
    ACTIONS = "actions"


class RolloutAttribute:
    """Attributes of the group ``/vla/rollout``: JSON lists that the indices refer to."""

    POLICY_IDS = "policy_ids"
    STRATEGIES = "strategies"


class RootAttribute:
    """Attributes of the file, read by the original ACT loader and its relatives."""

    SIM = "sim"
    COMPRESS = "compress"


class DatasetAttribute:
    """Attributes of datasets."""

    NAMES = "names"
    UNITS = "units"
    UNIT = "unit"
    COLOR_ORDER = "color_order"
    COMPRESSION = "compression"
    JPEG_QUALITY = "jpeg_quality"
    ENCODING = "encoding"


class Attribute:
    """Attributes of the group ``/vla``."""

    SCHEMA = "schema"
    COMPLETE = "complete"
    STEPS = "steps"
    PROMPT = "prompt"
    PROMPTS = "prompts"
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
    RECORDER = "recorder"
    RECOVERED = "recovered"
    STREAMS = "streams"
