"""A network in training: one step, and validation of the averaged weights."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import nn

from vla_policies.batch import PolicyNetwork
from vla_policies.errors import TrainingError
from vla_policies.families import build_network
from vla_policies.loading import require_device
from vla_policies.training.data import TrainingData
from vla_policies.training.optimisation import averaged, make_optimiser, set_learning_rate


class Trainer:
    """A network, its optimiser, and the moving average of its weights.

    Attributes:
        network: what is trained.
        average: its averaged weights, in ``average.module``.
        optimiser: with its moments.
    """

    def __init__(self, data: TrainingData) -> None:
        """Builds the network, the same one for the same seed.

        Raises:
            ConfigError: a hyper-parameter is wrong.
            CheckpointError: unknown family, or a device that is not there.
        """
        config = data.config
        self._data = data
        self._optimisation = config.optimisation
        self._device = require_device(config.optimisation.device)
        torch.manual_seed(config.optimisation.seed)
        network = build_network(config.family, config.network, data.pipeline.shape, f"preset '{config.name}'")
        self.network: nn.Module = network.to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = averaged(self.network, config.optimisation.ema_decay)
        self.optimiser = make_optimiser(self.network, config.optimisation)

    def step(self, step: int) -> tuple[dict[str, float], float]:
        """One training step: its losses by name, and the learning rate.

        Raises:
            TrainingError: the loss is not finite.
        """
        rate = set_learning_rate(self.optimiser, step, self._optimisation)
        inputs, targets = self._data.batch(step, self._device)
        # dropout and the latent's noise, too, depend on the seed and the step only
        torch.manual_seed(int(np.random.SeedSequence([self._optimisation.seed, step]).generate_state(1)[0]))
        self.network.train()
        losses = cast(PolicyNetwork, self.network).losses(inputs, targets)
        if not torch.isfinite(losses["loss"]):
            raise TrainingError(
                f"training diverged: the loss of step {step} is {losses['loss'].item()}; "
                f"expected a lower learning rate than {rate:.2g}"
            )
        self.optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self._optimisation.gradient_clip)
        self.optimiser.step()
        self.average.update_parameters(self.network)
        return {name: value.item() for name, value in losses.items()}, rate

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Errors of the averaged weights on the validation windows, as they would be used; empty without such windows.

        Returns:
            ``validation_l1`` of normalised actions, and for each unit ``validation_error_<unit>``, the mean absolute error
            of the actions in that unit.
        """
        self.average.eval()
        units = np.array(self._data.pipeline.embodiment.action_units)
        normalised, errors = [], []
        for window in self._data.validation_windows():
            inputs = self._data.pipeline.inputs(
                window.last_images, window.last_proprioception, self._device, window.prompts
            )
            targets = self._data.targets(window, self._device)
            predicted = cast(PolicyNetwork, self.average.module).predict(inputs)
            normalised.append((predicted - targets.actions).abs()[~targets.is_pad].cpu().numpy())
            actions = self._data.pipeline.actions(predicted, window.last_proprioception)
            errors.append(np.abs(actions - window.actions)[~window.action_is_pad])
        if not errors:
            return {}
        error = np.concatenate(errors).mean(axis=0)
        by_unit = {f"validation_error_{unit}": float(error[units == unit].mean()) for unit in dict.fromkeys(units)}
        return {"validation_l1": float(np.concatenate(normalised).mean()), **by_unit}
