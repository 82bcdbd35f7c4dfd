"""Training with known first actions (``trained_prefix``): the network learns to go on from them."""

from __future__ import annotations

import pytest
import torch

from vla_policies.batch import NetworkInputs, NetworkShape, NetworkTargets
from vla_policies.families import build_network
from vla_policies.heads.real_time_chunking import Guidance

HORIZON, KNOWN = 10, 3
TOWER = {"width": 32, "depth": 2, "mlp_dim": 64, "heads": 2, "kv_heads": 1, "head_dim": 16}
NETWORK = {
    "vlm": TOWER,
    "expert": TOWER,
    "image_encoder": "key_points",
    "key_points": 2,
    "vocabulary": 516,
    "prompt_length": 8,
    "action_dim": 2,
    "trained_prefix": KNOWN,
}


@pytest.mark.parametrize("family", ["pi0", "pi05"])
def test_which_way_to_go_on_is_learned_from_the_known_actions_alone(family) -> None:
    """Four ways from one and the same observation, so that nothing else says which of them was begun."""
    torch.manual_seed(0)
    shape = NetworkShape(cameras=1, state_dim=2, action_dim=2, action_horizon=HORIZON)
    settings = NETWORK if family == "pi0" else {**NETWORK, "state_input": "none"}
    network = build_network(family, settings, shape, "test")
    ends = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    ways = torch.linspace(0.3, 1.0, HORIZON)[:, None] * ends[:, None]
    several = ways.repeat(16, 1, 1)
    inputs = same_observation(len(several))
    targets = NetworkTargets(several, torch.zeros(several.shape[:2], dtype=torch.bool))
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(150):
        loss = network.losses(inputs, targets)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
    with torch.no_grad():
        continued = network.predict_continuing(same_observation(4), ways, Guidance(delay=KNOWN, execution_horizon=4))
    torch.testing.assert_close(continued[:, :KNOWN], ways[:, :KNOWN])
    assert (continued - ways)[:, KNOWN:].abs().mean() < 0.25


def same_observation(batch: int) -> NetworkInputs:
    return NetworkInputs((torch.zeros(batch, 3, 32, 32),), torch.zeros(batch, 2), ("go",) * batch)
