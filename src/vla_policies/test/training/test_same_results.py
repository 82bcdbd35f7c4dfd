"""What training can do beside is off unless asked for: a run is then, bit by bit, the plain loop that is written here."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn
from training_runs import ALONE, preset, settings, trainer

from vla_policies.errors import TrainingError
from vla_policies.families import build_network
from vla_policies.training.data import read_training_data
from vla_policies.training.loop import train
from vla_policies.training.optimisation import averaged, rate_factor


def test_act_small_gives_the_losses_and_weights_of_the_plain_loop(episodes) -> None:
    config = preset("act_small", steps=8, batch_size=8)
    run = trainer(config, episodes)
    losses = [run.step(step)[0]["loss"] for step in range(8)]

    data, chosen = read_training_data(config, episodes), config.optimisation
    torch.manual_seed(chosen.seed)
    network = build_network(config.family, config.network, data.pipeline.shape, "plain")
    network = network.to(memory_format=torch.channels_last)
    average = averaged(network, chosen.ema_decay)
    backbone = [weight for name, weight in network.named_parameters() if name.startswith("backbones.")]
    rest = [weight for name, weight in network.named_parameters() if not name.startswith("backbones.")]
    optimiser = torch.optim.AdamW([{"params": rest}, {"params": backbone}], lr=1.0, weight_decay=chosen.weight_decay)
    for step, expected in enumerate(losses):
        for group in optimiser.param_groups:
            group["lr"] = chosen.learning_rate * rate_factor(step, chosen)
        batch = data.batch(step, ALONE)
        torch.manual_seed(int(np.random.SeedSequence([chosen.seed, step]).generate_state(1)[0]))
        network.train()
        loss = network.losses(*batch)["loss"]
        assert loss.item() == expected
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), chosen.gradient_clip)
        optimiser.step()
        average.update_parameters(network)
    weights = run.weights()
    assert weights.keys() == network.state_dict().keys()
    for name, tensor in average.module.state_dict().items():
        assert torch.equal(weights[name], tensor), name


def test_a_run_of_before_there_were_these_settings_goes_on(episodes, tmp_path) -> None:
    steps = iter(range(9))
    train(settings(), episodes, tmp_path, should_stop=lambda: next(steps) == 1)
    path = tmp_path / "training" / "state.pt"
    state = torch.load(path, weights_only=True)
    run = json.loads(state["run"])
    del run["config"]["embodiments"]
    for key in ("precision", "gradient_checkpointing", "frozen", "lora", "start_from", "parallel", "embodiments_loss"):
        del run["config"]["optimisation"][key]
    torch.save({**state, "run": json.dumps(run)}, path)
    assert train(settings(), episodes, tmp_path, resume=True).finished


@pytest.mark.parametrize("run", ["not JSON", "{}", 3])
def test_a_state_that_does_not_say_of_which_run_it_is_is_refused(run, episodes, tmp_path) -> None:
    train(settings(steps=1), episodes, tmp_path)
    path = tmp_path / "training" / "state.pt"
    torch.save({**torch.load(path, weights_only=True), "run": run}, path)
    with pytest.raises(TrainingError, match="cannot be resumed: it does not say of which run it is"):
        train(settings(steps=1), episodes, tmp_path, resume=True)
