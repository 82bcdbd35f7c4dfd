"""The names of CrossFormer's parameters here and in its flax checkpoints, and the layouts that they have there.

Every flax path, its parts joined with ``/``, has exactly one name here and the other way round::

    crossformer_transformer/
      obs_<g>_projection/{kernel,bias}                          projections.<g>.{weight,bias}
      obs_<g>_pos_embedding                                     positions.<g>
      readout_<r>_pos_embedding                                 readout_positions.<r>
      observation_tokenizers_<g>/<encoder>_0/
        conv_root/kernel, gn_root/{scale,bias}                  backbones.<g>.{conv_root.weight,gn_root.{weight,bias}}
        block<i>/unit<j>/...                                    backbones.<g>.stages.<i - 1>.<j - 1>. ...
        FilmConditioning_<i>/Dense_0 (it multiplies)            backbones.<g>.film.<i>.scale
        FilmConditioning_<i>/Dense_1 (it adds)                  backbones.<g>.film.<i>.shift
      BlockTransformer_0/Transformer_0/
        encoderblock_<i>/LayerNorm_{0,1}                        transformer.layers.<i>.norm{1,2}
        encoderblock_<i>/MultiHeadDotProductAttention_0/<p>     transformer.layers.<i>.attention.<p>
        encoderblock_<i>/MlpBlock_0/Dense_{0,1}                 transformer.layers.<i>.linear{1,2}
        encoder_norm                                            transformer.norm
    heads_<h>/mean_proj                                         heads.<h>.mean_proj

``<encoder>`` is ``ResNet26FILM`` for an encoder with FiLM and else ``ResNet26``. Dense kernels are (in, out) there and (out, in)
here; convolutions (h, w, in, out) and (out, in, h, w); attention projections (d, heads, d / heads) and their biases (heads,
d / heads), and for ``out`` (heads, d / heads, d), where here they are matrices and vectors. What has another name keeps it.
"""

# calling a torch function gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_TRUNK = "crossformer_transformer/"
_LAYERS = _TRUNK + "BlockTransformer_0/Transformer_0/"
_ATTENTION = re.compile(r"\.attention\.(query|key|value)\.(weight|bias)$")
_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias"}
_FILM_BRANCHES = {"0": "scale", "1": "shift"}

_FROM_FLAX = (
    (re.compile(_TRUNK + r"obs_(\w+)_projection"), r"projections.\1"),
    (re.compile(_TRUNK + r"obs_(\w+)_pos_embedding"), r"positions.\1"),
    (re.compile(_TRUNK + r"readout_(\w+)_pos_embedding"), r"readout_positions.\1"),
    (re.compile(_TRUNK + r"observation_tokenizers_(\w+)/ResNet26(?:FILM)?_0/((?:conv|gn)_root)"), r"backbones.\1.\2"),
    (re.compile(_LAYERS + r"encoderblock_(\d+)/MultiHeadDotProductAttention_0/(\w+)"), r"transformer.layers.\1.attention.\2"),
    (re.compile(_LAYERS + r"encoder_norm"), r"transformer.norm"),
    (re.compile(r"heads_(\w+)/mean_proj"), r"heads.\1.mean_proj"),
)  # fmt: skip
_UNIT = re.compile(_TRUNK + r"observation_tokenizers_(\w+)/ResNet26(?:FILM)?_0/block(\d+)/unit(\d+)/(\w+)")
_FILM = re.compile(_TRUNK + r"observation_tokenizers_(\w+)/ResNet26FILM_0/FilmConditioning_(\d+)/Dense_([01])")
_NUMBERED = re.compile(_LAYERS + r"encoderblock_(\d+)/(LayerNorm|MlpBlock_0/Dense)_([01])")
_NUMBERED_NAMES = {"LayerNorm": "norm", "MlpBlock_0/Dense": "linear"}


def name_of(path: str) -> str:
    """Our name for a flax path; the path itself if it is not one of CrossFormer's."""
    module, _, leaf = path.rpartition("/")
    if leaf not in _LEAVES:
        return _module_name(path) or path
    found = _module_name(module)
    return path if found is None else f"{found}.{_LEAVES[leaf]}"


def _module_name(path: str) -> str | None:
    for pattern, name in _FROM_FLAX:
        if match := pattern.fullmatch(path):
            return match.expand(name)
    if match := _UNIT.fullmatch(path):
        return f"backbones.{match[1]}.stages.{int(match[2]) - 1}.{int(match[3]) - 1}.{match[4]}"
    if match := _FILM.fullmatch(path):
        return f"backbones.{match[1]}.film.{match[2]}.{_FILM_BRANCHES[match[3]]}"
    if match := _NUMBERED.fullmatch(path):
        return f"transformer.layers.{match[1]}.{_NUMBERED_NAMES[match[2]]}{int(match[3]) + 1}"
    return None


def from_flax(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Flax parameters by path to ours: names and layouts."""
    return {name_of(path): _from_layout(name_of(path), value) for path, value in parameters.items()}


def _from_layout(name: str, value: Tensor) -> Tensor:
    if name.endswith(".attention.out.weight") and value.dim() == 3:
        return value.flatten(0, 1).T.contiguous()
    if match := _ATTENTION.search(name):
        if match[2] == "bias":
            return value.flatten()
        return value.flatten(1).T.contiguous()
    if name.endswith(".weight") and value.dim() == 4:
        return value.permute(3, 2, 0, 1).contiguous()
    return value.T.contiguous() if name.endswith(".weight") and value.dim() == 2 else value


def to_flax(weights: Mapping[str, Tensor], attention_heads: int) -> dict[str, Tensor]:
    """Undoes :func:`from_flax`."""
    film = {name.split(".")[1] for name in weights if name.startswith("backbones.") and ".film." in name}
    return {_path_of(name, value, film): _to_layout(name, value, attention_heads) for name, value in weights.items()}


def _to_layout(name: str, value: Tensor, heads: int) -> Tensor:
    if name.endswith(".attention.out.weight"):
        return value.T.reshape(heads, -1, len(value))
    if match := _ATTENTION.search(name):
        return (value if match[2] == "bias" else value.T).reshape(*value.shape[1:], heads, -1)
    if name.endswith(".weight") and value.dim() == 4:
        return value.permute(2, 3, 1, 0).contiguous()
    return value.T.contiguous() if name.endswith(".weight") and value.dim() == 2 else value


def _path_of(name: str, value: Tensor, film: set[str]) -> str:
    kind, _, rest = name.partition(".")
    if kind in ("positions", "readout_positions"):
        return f"{_TRUNK}{'obs' if kind == 'positions' else 'readout'}_{rest}_pos_embedding"
    module, _, leaf = rest.rpartition(".")
    leaf = leaf if leaf == "bias" else "kernel" if value.dim() > 1 else "scale"
    if kind == "projections":
        return f"{_TRUNK}obs_{module}_projection/{leaf}"
    if kind == "heads":
        return f"heads_{module.replace('.', '/')}/{leaf}"
    if kind == "backbones":
        group, _, part = module.partition(".")
        encoder = "ResNet26FILM_0" if group in film else "ResNet26_0"
        return f"{_TRUNK}observation_tokenizers_{group}/{encoder}/{_encoder_path(part)}/{leaf}"
    return f"{_LAYERS}{_layer_path(module)}/{leaf}"


def _encoder_path(part: str) -> str:
    parts = part.split(".")
    if parts[0] == "stages":
        return f"block{int(parts[1]) + 1}/unit{int(parts[2]) + 1}/{parts[3]}"
    if parts[0] == "film":
        return f"FilmConditioning_{parts[1]}/Dense_{list(_FILM_BRANCHES.values()).index(parts[2])}"
    return part


def _layer_path(module: str) -> str:
    if module == "norm":
        return "encoder_norm"
    _, number, part = module.split(".", 2)
    if part.startswith("attention."):
        return f"encoderblock_{number}/MultiHeadDotProductAttention_0/{part.removeprefix('attention.')}"
    flax = {"norm": "LayerNorm", "linear": "MlpBlock_0/Dense"}[part[:-1]]
    return f"encoderblock_{number}/{flax}_{int(part[-1]) - 1}"
