"""Networks with random weights, made without ever having the weights twice, and set up as a policy sets them up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from bench.support.policy_cases import PolicyCase, Precision
from vla_policies.batch import NetworkInputs
from vla_policies.families import build_network
from vla_policies.groot import GrootNetwork
from vla_policies.groot.prompts import conversation

_STD = 0.02
_CHARACTERS = 0x200  # among them all that stand for bytes in GPT-2's way
_IMAGE_TOKEN = 151669


@contextmanager
def skeleton(case: PolicyCase, precision: Precision) -> Iterator[nn.Module]:
    """The network on the device ``meta``, in the precision. GR00T's has a tokenizer as long as it is used here."""
    with TemporaryDirectory(prefix="vla-bench-") as folder:
        settings = dict(case.network)
        if case.family in ("openvla", "pi0", "pi05"):
            settings["precision"] = precision
        if case.family == "groot":
            settings["tokenizer"] = str(_word_tokenizer(Path(folder), case))
        with torch.device("meta"):
            network = build_network(case.family, settings, case.shape, case.name)
        if case.family == "groot" and precision == "bfloat16":
            network.to(torch.bfloat16)  # as NVIDIA's policy loads it
        yield network.eval()


def fill(network: nn.Module, device: torch.device) -> nn.Module:
    """Gives a skeleton small random weights on the device, one tensor after the other; what is tied stays tied.

    Constants have their values already.
    """
    generator = torch.Generator(device).manual_seed(0)
    made: dict[Tensor, Tensor] = {}
    for module in network.modules():
        for kept in (module._parameters, module._buffers):
            for name, tensor in kept.items():
                if tensor is not None:
                    if tensor not in made:
                        made[tensor] = _filled(tensor, device, generator) if tensor.is_meta else tensor.to(device)
                    kept[name] = made[tensor]
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def random_inputs(case: PolicyCase, device: torch.device) -> NetworkInputs:
    """A normalised observation, its images in memory as the pipeline makes them."""
    generator = torch.Generator().manual_seed(0)
    images = tuple(
        (torch.rand((1, size.height, size.width, 3), generator=generator) * 2.0 - 1.0).to(device).permute(0, 3, 1, 2)
        for size in case.images
    )
    state = torch.rand((1, case.shape.state_dim), generator=generator) * 2.0 - 1.0
    return NetworkInputs(images, state.to(device), (case.prompt,), state)


def predict(network: nn.Module, inputs: NetworkInputs) -> Tensor:
    """A chunk (1, K, A)."""
    return mixed(network, lambda: network.predict(inputs))


def mixed(network: nn.Module, make: Callable[[], Tensor]) -> Tensor:
    """Makes a chunk with the mixed precision of GR00T's policy if the network is one with weights of 16 bits."""
    first = next(network.action_head.parameters()) if isinstance(network, GrootNetwork) else None
    half = first is not None and first.dtype == torch.bfloat16
    with torch.autocast(first.device.type, torch.bfloat16) if first is not None and half else nullcontext():
        return make()


def _filled(tensor: Tensor, device: torch.device, generator: torch.Generator) -> Tensor:
    empty = torch.empty_like(tensor, device=device, requires_grad=False)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(empty.normal_(std=_STD, generator=generator), requires_grad=False)
    return empty.fill_(1)  # means and variances


def _word_tokenizer(folder: Path, case: PolicyCase) -> Path:
    """A file in the form of Eagle's tokenizer in which every word of the conversation is a token, as most are in Eagle's."""
    text = conversation(case.prompt, len(case.images), 1, True)
    words = [word for line in text.splitlines(keepends=True) for word in _words(line)]
    numbers = {word: _CHARACTERS + number for number, word in enumerate(dict.fromkeys(words))}
    numbers["<IMG_CONTEXT>"] = _IMAGE_TOKEN
    data = {
        "model": {"vocab": {chr(code): code for code in range(_CHARACTERS)}, "merges": []},
        "added_tokens": [{"content": word, "id": number} for word, number in numbers.items()],
    }
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(data))
    return path


def _words(line: str) -> list[str]:
    marks = ("<|im_start|>", "<|im_end|>", "<IMG_CONTEXT>", "<img>", "</img>")
    for mark in marks:
        line = line.replace(mark, f"\0{mark}\0")
    return [word for part in line.split("\0") for word in part.replace(" ", "\0 ").split("\0") if word.strip()]
