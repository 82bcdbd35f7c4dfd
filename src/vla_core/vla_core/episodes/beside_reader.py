"""Reading what is recorded beside the rows: ``/vla/native`` and ``/vla/rollout``."""

from __future__ import annotations

import json

import h5py
import numpy as np

from vla_core.embodiment.schema import Embodiment
from vla_core.episodes import schema
from vla_core.episodes.beside import NativeSamples, Rollout
from vla_core.episodes.layout import ROLLOUT_DTYPES, native_streams_of
from vla_core.episodes.schema import DatasetAttribute, RolloutAttribute, RolloutDataset
from vla_core.episodes.tables import table_problems


def read_native(file: h5py.File, name: str) -> NativeSamples:
    """Reads the samples of a native stream."""
    leaves = (schema.STAMP_NS, schema.RECEIVE_NS, schema.VALUE)
    return NativeSamples(name, *(file[schema.native(name, leaf)][:] for leaf in leaves))


def read_rollout(file: h5py.File) -> Rollout | None:
    """Reads the chunks of a rollout; None if there are none."""
    if schema.ROLLOUT not in file:
        return None
    group = file[schema.ROLLOUT]
    column = {leaf: group[leaf][:].astype(np.int64) for leaf in ROLLOUT_DTYPES}
    policies = json.loads(group.attrs[RolloutAttribute.POLICY_IDS])
    strategies = json.loads(group.attrs[RolloutAttribute.STRATEGIES])
    actions = group[RolloutDataset.ACTIONS]
    return Rollout(
        observation_ns=column[RolloutDataset.OBSERVATION_NS],
        start_ns=column[RolloutDataset.START_NS],
        step_ns=column[RolloutDataset.STEP_NS],
        receive_ns=column[RolloutDataset.RECEIVE_NS],
        latency_ns=column[RolloutDataset.LATENCY_NS],
        sequence=column[RolloutDataset.SEQUENCE],
        shadow=column[RolloutDataset.SHADOW].astype(bool),
        horizon=column[RolloutDataset.HORIZON],
        actions=actions[:],
        policy_ids=tuple(policies[index] for index in column[RolloutDataset.POLICY_INDEX]),
        strategies=tuple(strategies[index] for index in column[RolloutDataset.STRATEGY_INDEX]),
        names=tuple(json.loads(actions.attrs[DatasetAttribute.NAMES])),
    )


def problems_of(file: h5py.File, embodiment: Embodiment) -> list[str]:
    """What is missing in a file, or has another shape, of what is recorded beside the rows."""
    problems = []
    for name in native_streams_of(embodiment):
        count = _length(file, schema.native(name, schema.STAMP_NS))
        shapes: dict[str, tuple[int, ...]] = {schema.STAMP_NS: (count,), schema.RECEIVE_NS: (count,)}
        shapes[schema.VALUE] = (count, embodiment.streams[name].size)
        for leaf, shape in shapes.items():
            problems += _problems(file, schema.native(name, leaf), shape, "float64" if len(shape) == 2 else "int64")
    if schema.ROLLOUT in file:
        count = _length(file, schema.rollout(RolloutDataset.START_NS))
        for leaf, dtype in ROLLOUT_DTYPES.items():
            problems += _problems(file, schema.rollout(leaf), (count,), dtype)
        actions = file.get(schema.rollout(RolloutDataset.ACTIONS))
        horizon = actions.shape[1] if isinstance(actions, h5py.Dataset) and actions.ndim == 3 else 0
        chunks = (count, horizon, len(embodiment.action_names))
        problems += _problems(file, schema.rollout(RolloutDataset.ACTIONS), chunks, "float64")
    return problems + table_problems(file)


def _length(file: h5py.File, path: str) -> int:
    dataset = file.get(path)
    return len(dataset) if isinstance(dataset, h5py.Dataset) and dataset.ndim else 0


def _problems(file: h5py.File, path: str, shape: tuple[int, ...], dtype: str) -> list[str]:
    dataset = file.get(path)
    if not isinstance(dataset, h5py.Dataset):
        return [f"/{path}: missing"]
    if dataset.shape != shape or dataset.dtype != dtype:
        return [f"/{path}: expected {dtype} of shape {shape}, found {dataset.dtype} of shape {dataset.shape}"]
    return []
