"""Low-rank changes of weights, as PEFT writes them, added to the weights that they change.

Source: Hu et al., "LoRA" (arXiv 2106.09685): W + alpha / r * B A. A layer of convolution has them too: A is a convolution of
the layer's own kernel down to r channels, B one of 1x1 up again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from vla_core.errors import CheckpointError

_LORA = re.compile(r"(?P<layer>.+)\.lora_(?P<which>[AB])(\.default)?\.weight")
_ADAPTER_PREFIX = "base_model.model."
# what changes the equation, and what it has to be
_PLAIN = {
    "use_dora": False,
    "use_rslora": False,
    "fan_in_fan_out": False,
    "rank_pattern": {},
    "alpha_pattern": {},
    "bias": "none",
}
PUBLISHED_LARGEST_ALPHA = 16  # openvla's finetune.py takes the smaller one of this and the rank


def require_plain(config: Mapping[str, object], where: str) -> float:
    """Checks an ``adapter_config.json`` and returns its ``lora_alpha``.

    Raises:
        CheckpointError: it is of a variant that is not supported.
    """
    for key, expected in _PLAIN.items():
        if config.get(key, expected) not in (expected, None):
            raise CheckpointError(f"{where}: {key}: expected {expected!r}, found {config[key]!r}")
    if str(config.get("peft_type", "LORA")) != "LORA":
        raise CheckpointError(f"{where}: peft_type: expected 'LORA', found {config['peft_type']!r}")
    alpha = config.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise CheckpointError(f"{where}: lora_alpha: expected a number, found {alpha!r}")
    return float(alpha)


def merged(
    weights: Mapping[str, Tensor], changes: Mapping[str, Tensor], alpha: float | None, where: str
) -> dict[str, Tensor]:
    """Weights with the changes of an adapter.

    Args:
        weights: by name.
        changes: tensors of the adapter, ``[base_model.model.]<layer>.lora_A[.default].weight`` and so on; whole tensors, which
            PEFT writes for some layers, replace those of the weights.
        alpha: as the adapter's configuration has it; None: the rank, but at most 16, as OpenVLA is trained.
        where: the adapter, for errors.

    Raises:
        CheckpointError: a change is of a layer that is not there or of another shape.
    """
    result = dict(weights)
    pairs: dict[str, dict[str, Tensor]] = {}
    for key, tensor in changes.items():
        bare = key.removeprefix(_ADAPTER_PREFIX)
        if found := _LORA.fullmatch(bare):
            pairs.setdefault(found["layer"], {})[found["which"]] = tensor
            continue
        name = bare.replace(".base_layer.", ".")
        if name not in result:
            raise CheckpointError(f"{where}: expected changes of the network's layers, found '{key}'")
        result[name] = tensor
    for layer, pair in pairs.items():
        result[f"{layer}.weight"] = _changed(result, layer, pair, alpha, where)
    return result


def with_own_changes(weights: Mapping[str, Tensor], alpha: float | None, where: str) -> dict[str, Tensor]:
    """Weights saved from a network that PEFT had wrapped (``.base_layer.weight`` beside ``.lora_A.default.weight``), merged.

    Raises:
        CheckpointError: as :func:`merged`.
    """
    changes = {key: tensor for key, tensor in weights.items() if _LORA.fullmatch(key)}
    rest = {key.replace(".base_layer.", "."): tensor for key, tensor in weights.items() if key not in changes}
    return merged(rest, changes, alpha, where)


def _changed(
    weights: Mapping[str, Tensor], layer: str, pair: Mapping[str, Tensor], alpha: float | None, where: str
) -> Tensor:
    if f"{layer}.weight" not in weights:
        raise CheckpointError(f"{where}: expected changes of the network's layers, found them for '{layer}'")
    if set(pair) != {"A", "B"}:
        raise CheckpointError(f"{where}: {layer}: expected lora_A and lora_B, found only lora_{next(iter(pair))}")
    weight, down, up = weights[f"{layer}.weight"], pair["A"], pair["B"]
    shapes_fit = down.shape[1:] == weight.shape[1:] and up.shape[:2] == (len(weight), len(down))
    if weight.dim() not in (2, 4) or not shapes_fit or up.numel() != len(weight) * len(down) or not len(down):
        found = f"{tuple(down.shape)} and {tuple(up.shape)}"
        raise CheckpointError(f"{where}: {layer}: expected changes of a weight {tuple(weight.shape)}, found {found}")
    rank = len(down)
    scale = (min(rank, PUBLISHED_LARGEST_ALPHA) if alpha is None else alpha) / rank
    change = torch.matmul(up.flatten(1).float(), down.flatten(1).float()).view(weight.shape)
    return (weight.float() + scale * change).to(weight.dtype)
