"""OpenVLA-OFT with the reference's toy language model: the same sequence, the same slots, the same actions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recipe import Golden, read_golden
from torch import Tensor, nn

from vla_policies.batch import NetworkShape
from vla_policies.normalisation import Normalisation, NormStats
from vla_policies.openvla import OpenVlaConfig, OpenVlaNetwork
from vla_policies.openvla.config import LanguageConfig
from vla_policies.openvla.sequence import Prompt
from vla_policies.openvla.tokens import STOP

HIDDEN, HORIZON, ACTION_DIM = 16, 8, 7
FILES = ("proprio_projector", "noisy_action_projector")


class ToyLanguageModel(nn.Module):
    """The toy of the golden vectors, in the place of a Llama. It keeps what it was given and what it returned."""

    def __init__(self, stop: Tensor) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(STOP + 1, HIDDEN)
        self.embed_tokens.weight.data[STOP] = stop

    def forward(self, e: Tensor, is_there: Tensor | None) -> tuple[Tensor, None]:
        assert is_there is None
        i = torch.arange(1, e.shape[1] + 1, dtype=torch.float64)[:, None]
        j = torch.arange(1, HIDDEN + 1)[None]
        self.sequence = e
        self.hidden = torch.tanh(e + e.roll(-1, dims=1) + torch.sin(0.37 * i * j).float())
        return self.hidden, None


@pytest.fixture(scope="module")
def golden() -> Golden:
    return read_golden("oft")


def network_for(golden: Golden, head: str, **changes: object) -> OpenVlaNetwork:
    language = LanguageConfig(HIDDEN, 1, 2, 16)
    config = OpenVlaConfig(head=head, vision="small_cnn", language=language, **changes)
    network = OpenVlaNetwork(config, NetworkShape(2, 8, ACTION_DIM, HORIZON)).eval()
    network.language_model.model = ToyLanguageModel(golden.arrays["in.stop_embedding"])
    action_head = {"l1": "action_head", "diffusion": "diffusion_action_head"}.get(head)
    for name, module in network.named_children():
        file = action_head if name == "action_head" else name
        if file in (*FILES, action_head):
            weights = {k.removeprefix(f"{file}/"): w for k, w in golden.weights.items() if k.startswith(f"{file}/")}
            module.load_state_dict(weights, strict=True)
    return network


def prompt_and_context(network: OpenVlaNetwork, golden: Golden) -> tuple[Prompt, Tensor]:
    proprio = network.proprio_projector(golden.arrays["in.proprio"][:1])[:, None]
    context = torch.cat([golden.arrays["in.patch_features"], proprio], dim=1)
    return Prompt(golden.arrays["in.prompt_embeddings"][None]), context


def actions(normalised: Tensor, golden: Golden) -> np.ndarray:
    """In their units, (K, A)."""
    stats = {name: tuple(golden.arrays[f"in.action_{name}"].tolist()) for name in ("min", "max", "q01", "q99", "mask")}
    return Normalisation("oft_bounds_q99", NormStats(**stats)).inverse(normalised[0].double().numpy())


def close(actual: Tensor | np.ndarray, expected: Tensor, tolerance: float) -> None:
    np.testing.assert_allclose(actual, expected, atol=tolerance, rtol=0.0)


@torch.no_grad()
def test_l1(golden) -> None:
    network = network_for(golden, "l1")
    hidden = network.hidden_of_empty_slots(*prompt_and_context(network, golden))
    close(network.language_model.model.sequence[0], golden.arrays["mid.e2e_sequence"], 1e-5)
    close(hidden[0], golden.arrays["mid.e2e_action_hidden"], 1e-5)
    close(actions(network.action_head(hidden), golden), golden.arrays["out.e2e_l1_actions"], 1e-5)


@torch.no_grad()
def test_discrete(golden, monkeypatch) -> None:
    network = network_for(golden, "discrete")
    logits = torch.nn.functional.one_hot(golden.arrays["in.sequence_argmax_ids"], 32064).float()
    states = network.hidden_of_empty_slots(*prompt_and_context(network, golden))
    places = [  # of the hidden states in the sequence: none occurs twice
        int((network.language_model.model.hidden[0] == state).all(dim=-1).nonzero()) for state in states[0]
    ]
    monkeypatch.setattr(network.language_model.lm_head, "forward", lambda hidden: logits[places][None])
    ids = network.slot_logits(*prompt_and_context(network, golden)).argmax(dim=-1)
    decoded = network.bins.decode(ids).reshape(1, HORIZON, ACTION_DIM)
    close(actions(decoded, golden), golden.arrays["out.e2e_discrete_actions"], 1e-9)


@torch.no_grad()
@pytest.mark.parametrize(("case", "steps"), [("few", 10), ("all", 50)])
def test_diffusion(case, steps, golden) -> None:
    network = network_for(golden, "diffusion", diffusion_steps=steps)
    prompt, context = prompt_and_context(network, golden)
    chunk = network.denoise(prompt, context, golden.arrays["in.noise"])
    close(actions(chunk, golden), golden.arrays[f"out.e2e_diffusion_{case}_actions"], 5e-5)
    if case == "few":
        after_each = network.action_head.schedule.denoise(
            lambda x, times: network.predicted_noise(prompt, context, x, times), golden.arrays["in.noise"], steps
        )
        close(torch.cat(list(after_each)), golden.arrays["mid.e2e_diffusion_few_x"], 5e-5)


@pytest.mark.parametrize(("scheme", "table"), [("oft_bounds_q99", "q99"), ("oft_bounds", "minmax")])
def test_the_tables_of_decoded_tokens_in_their_units(scheme, table, golden) -> None:
    stats = {name: tuple(golden.arrays[f"in.action_{name}"].tolist()) for name in ("min", "max", "q01", "q99", "mask")}
    decoded = golden.arrays["table.decoded"][:, None].expand(-1, ACTION_DIM).numpy()
    close(
        Normalisation(scheme, NormStats(**stats)).inverse(decoded), golden.arrays[f"table.unnormalised_{table}"], 1e-9
    )
