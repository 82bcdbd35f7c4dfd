"""Weights on disk (numbers and names, nothing that is executed) and in a network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from vla_core.errors import CheckpointError

_NAMED_IN_ERRORS = 6
_ALIGNMENT = 64  # bytes, of torch's own tensors


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a safetensors file onto the processor.

    Raises:
        CheckpointError: it is missing, truncated or not safetensors, or holds a number that is not finite.
    """
    try:
        weights: dict[str, Tensor] = load_file(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except SafetensorError as error:
        raise CheckpointError(
            f"{path}: expected a whole safetensors file, found {path.stat().st_size} bytes: {error}"
        ) from error
    require_finite(weights, str(path))
    return weights


def read_torch_weights(path: Path) -> dict[str, Tensor]:
    """Reads a file that ``torch.save`` wrote, names with tensors, onto the processor. Nothing in it is executed.

    Raises:
        CheckpointError: it is missing, damaged, or holds anything else, or a number that is not finite.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged file can make torch's reader raise nearly anything
        raise CheckpointError(
            f"{path}: expected a file of weights and nothing else, found another or a damaged one: {_reason(error)}"
        ) from error
    if not isinstance(weights, dict):
        raise CheckpointError(f"{path}: expected names with tensors, found a {type(weights).__name__}")
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: expected names with tensors, found {name!r} with a {type(value).__name__}")
    require_finite(weights, str(path))
    return weights


def _reason(error: Exception) -> str:
    """The line that says what was found. torch's other lines advise to read the file without protection."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "unsupported" in line.lower()), (lines or [type(error).__name__])[0])


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Writes a safetensors file; an existing one is replaced only when the new one is complete.

    Raises:
        CheckpointError: the file cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        # not save_file, which makes a file that nobody else may read
        partial.write_bytes(save(_apart(weights)))
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be written ({error})") from error


def _apart(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the processor, and each with memory of its own: safetensors keeps no tensor that is tied to another one."""
    found: set[int] = set()
    separate = {}
    for name, tensor in weights.items():
        tensor = tensor.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.clone() if place in found else tensor
        found.add(place)
    return separate


def require_finite(weights: Mapping[str, Tensor], where: str) -> None:
    """Raises CheckpointError if a weight is NaN or infinite, and names its tensor."""
    bad = [name for name, tensor in weights.items() if tensor.is_floating_point() and not torch.isfinite(tensor).all()]
    if bad:
        raise CheckpointError(f"{where}: expected finite weights, found NaN or infinity in {_some(bad)}")


def load_into(network: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Copies weights into a network, which must have exactly these, with these shapes. Raises as :func:`require_fit`."""
    require_fit(network, weights, where)
    network.load_state_dict(dict(weights))


def give(network: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Gives weights to a network that was built without numbers (torch's device ``meta``), so that there are never two of each.

    A weight that has the network's type already, and lies in memory as torch wants it, is not copied: whoever else holds it
    shares it. What is tied in the network stays tied. Raises as :func:`require_fit`.
    """
    require_fit(network, weights, where)
    given: dict[int, Tensor] = {}
    for name, wanted in network.state_dict(keep_vars=True).items():
        value = weights[name].to(wanted.dtype).contiguous()
        # views on a file, whose memory the system can drop, need not lie where vector instructions give the bits that they give
        # elsewhere
        value = value if value.data_ptr() % _ALIGNMENT == 0 else value.clone()
        is_parameter = isinstance(wanted, nn.Parameter)
        given[id(wanted)] = nn.Parameter(value, wanted.requires_grad) if is_parameter else value
    for module in network.modules():
        for held in (module._parameters, module._buffers):
            for name, wanted in held.items():
                if wanted is not None and id(wanted) in given:
                    held[name] = given[id(wanted)]  # type: ignore[assignment]


def require_fit(network: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Checks that weights are those of a network, which may be one without numbers (torch's device ``meta``).

    Raises:
        CheckpointError: one line each for missing and unexpected tensors and for those of another shape or kind of number. How
            many bits a floating-point number has does not matter.
    """
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in weights]
    unexpected = [name for name in weights if name not in wanted]
    reshaped = [
        f"{name}: expected {tuple(wanted[name].shape)}, found {tuple(weights[name].shape)}"
        for name in wanted
        if name in weights and wanted[name].shape != weights[name].shape
    ]
    retyped = [
        f"{name}: expected {wanted[name].dtype}, found {weights[name].dtype}"
        for name in wanted
        if name in weights and wanted[name].is_floating_point() != weights[name].is_floating_point()
    ]
    problems = [
        f"{label}: {_some(names)}"
        for label, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", reshaped),
            ("of another type", retyped),
        )
        if names
    ]
    if problems:
        heading = (
            f"{where}: the weights do not fit the network that its configuration describes ({len(wanted)} tensors)"
        )
        raise CheckpointError("\n  ".join([heading + ":", *problems]))


def _some(names: list[str]) -> str:
    shown = "; ".join(names[:_NAMED_IN_ERRORS])
    return shown if len(names) <= _NAMED_IN_ERRORS else f"{shown}; and {len(names) - _NAMED_IN_ERRORS} more"
