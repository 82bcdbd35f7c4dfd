"""A network in training: one step, and validation of the averaged weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vla_policies.batch import NetworkInputs, NetworkTargets, PolicyNetwork
from vla_policies.checkpoint import WEIGHTS_FILE
from vla_policies.errors import TrainingError
from vla_policies.families import build_network
from vla_policies.training.config import TrainConfig
from vla_policies.training.data import TrainingData
from vla_policies.training.embodiments import combined, tie
from vla_policies.training.frozen import freeze, train_mode
from vla_policies.training.lora import add_lora, require_reached, without_lora
from vla_policies.training.optimisation import averaged, make_optimiser, set_learning_rate
from vla_policies.training.processes import Processes
from vla_policies.training.recomputing import recompute
from vla_policies.training.sharding import in_parts, optimiser_in_parts, shard, whole
from vla_policies.weights import load_into, read_weights


class Trainer:
    """A network, its optimiser, and the moving average of its weights.

    Attributes:
        network: what is trained; of several embodiments, a network for each by its name, all with the same parameters.
        average: its averaged weights, in ``average.module``.
        optimiser: with its moments.
    """

    def __init__(self, config: TrainConfig, parts: Mapping[str, TrainingData], processes: Processes) -> None:
        """Builds the network, the same one for the same seed.

        Args:
            config: settings of the run.
            parts: data by embodiment.
            processes: which share of them is computed here.

        Raises:
            ConfigError: a hyper-parameter is wrong, or a pattern means no part of the network.
            CheckpointError: unknown family, or weights to start from that cannot be read or do not fit.
        """
        self._parts = parts
        self._optimisation = config.optimisation
        self._where = f"preset '{config.name}': optimisation"
        self._processes = processes
        torch.manual_seed(config.optimisation.seed)
        networks = {name: self._build(data) for name, data in parts.items()}
        self._first = next(iter(networks.values()))
        for name, other in networks.items():
            if other is not self._first:
                tie(other, self._first, f"preset '{config.name}': embodiments.{name}")
        together = nn.ModuleDict(networks) if len(networks) > 1 else self._first
        sharded = not processes.alone and config.optimisation.parallel == "fsdp"
        # parts of convolutions in another order of memory cannot be put together
        memory_format = torch.preserve_format if sharded else torch.channels_last
        self.network: nn.Module = together.to(device=processes.device, memory_format=memory_format)  # type: ignore[call-overload]
        self.average = averaged(self.network, config.optimisation.ema_decay)
        if config.optimisation.gradient_checkpointing:
            for network in networks.values():
                recompute(network, config.family, f"{self._where}.gradient_checkpointing")
        self._losses: nn.Module = _Losses(self.network, config.optimisation.embodiments_loss)
        self._predicted = _Predicted(self.average.module)
        if sharded:
            self._predicted.requires_grad_(False)
            shard(self._losses, processes)
            shard(self._predicted, processes)
        elif not processes.alone:
            # a head that no sample of a batch belongs to has no gradients
            self._losses = DistributedDataParallel(self._losses, find_unused_parameters=True)
        self.optimiser = make_optimiser(self._first, config.optimisation)
        self._sharded = sharded
        self._lora_is_checked = config.optimisation.lora is None

    def _build(self, data: TrainingData) -> nn.Module:
        config = data.config
        network = build_network(config.family, config.network, data.pipeline.shape, f"preset '{config.name}'")
        _prepare(network, config, self._where)
        return network

    def step(self, step: int) -> tuple[dict[str, float], float]:
        """One training step: its losses by name, means over all processes, and the learning rate.

        Raises:
            TrainingError: the loss is not finite.
        """
        rate = set_learning_rate(self.optimiser, step, self._optimisation)
        losses = self.losses(step)
        reported = self._processes.mean(losses)
        if not torch.isfinite(reported["loss"]):
            raise TrainingError(
                f"training diverged: the loss of step {step} is {reported['loss'].item()}; "
                f"expected a lower learning rate than {rate:.2g}"
            )
        self.optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        self._check_lora()
        nn.utils.clip_grad_norm_(self.network.parameters(), self._optimisation.gradient_clip)
        self.optimiser.step()
        self.average.update_parameters(self.network)
        return {name: value.item() for name, value in reported.items()}, rate

    def losses(self, step: int) -> dict[str, Tensor]:
        """The losses of a training step's batch by name, of this process's part."""
        batches = {name: data.batch(step, self._processes) for name, data in self._parts.items()}
        # dropout and the latent's noise, too, depend on the seed and the step only
        seed = self._processes.own([self._optimisation.seed, step])
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        train_mode(self.network)
        with self._autocast():
            return cast(dict[str, Tensor], self._losses(batches))

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights by the names of the family, with what was changed beside them merged.

        Every process must ask for them, as for the other figures and files of a run.
        """
        weights = next(iter(_networks(self.average.module, self._parts).values())).state_dict()
        weights = whole(weights)
        lora = self._optimisation.lora
        return weights if lora is None else without_lora(weights, lora, f"{self._where}.lora")

    def state(self) -> dict[str, Any]:
        """What a run goes on with, as whole tensors."""
        states = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        return {name: whole(state) for name, state in states.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on with what :meth:`state` gave."""
        self.network.load_state_dict(in_parts(state["network"], self.network.state_dict()))
        self.average.load_state_dict(in_parts(state["average"], self.average.state_dict()))
        self.optimiser.load_state_dict(optimiser_in_parts(state["optimiser"], self.optimiser))

    @property
    def all_validate(self) -> bool:
        """Whether every process is needed to validate, since each has a part of the weights."""
        return self._sharded

    def _autocast(self) -> torch.autocast:
        """The context of the losses' computation. Validation is in the precision of inference."""
        wanted = self._optimisation.precision == "bfloat16"
        return torch.autocast(self._processes.device.type, dtype=torch.bfloat16, enabled=wanted)

    def _check_lora(self) -> None:
        if not self._lora_is_checked and self._optimisation.lora is not None:
            require_reached(self._first, self._optimisation.lora, f"{self._where}.lora")
            self._lora_is_checked = True

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Errors of the averaged weights on the validation windows, as they would be used; empty without such windows.

        Returns:
            ``validation_l1`` of normalised actions, and for each unit ``validation_error_<unit>``, the mean absolute error
            of the actions in that unit. Of several embodiments, these with ``_<embodiment>``, and the mean of ``validation_l1``.
        """
        self.average.eval()
        errors = {name: self._errors(name, data) for name, data in self._parts.items()}
        if len(errors) == 1:
            return next(iter(errors.values()))
        named = {f"{figure}_{name}": value for name, own in errors.items() for figure, value in own.items()}
        means = [own["validation_l1"] for own in errors.values() if own]
        return {"validation_l1": sum(means) / len(means), **named} if means else {}

    def _errors(self, name: str, data: TrainingData) -> dict[str, float]:
        units = np.array(data.pipeline.embodiment.action_units)
        normalised, errors = [], []
        for window in data.validation_windows():
            inputs = data.pipeline.inputs(
                window.last_images, window.last_proprioception, self._processes.device, window.prompts
            )
            targets = data.targets(window, self._processes.device)
            predicted = self._predicted(name, list(self._parts), inputs)
            normalised.append((predicted - targets.actions).abs()[~targets.is_pad].cpu().numpy())
            actions = data.pipeline.actions(predicted, window.last_proprioception)
            errors.append(np.abs(actions - window.actions)[~window.action_is_pad])
        if not errors:
            return {}
        error = np.concatenate(errors).mean(axis=0)
        by_unit = {f"validation_error_{unit}": float(error[units == unit].mean()) for unit in dict.fromkeys(units)}
        return {"validation_l1": float(np.concatenate(normalised).mean()), **by_unit}


class _Losses(nn.Module):
    """A network's losses as what its call gives: that is where torch gathers the gradients of several processes."""

    def __init__(self, network: nn.Module, how: Literal["elements", "sum"]) -> None:
        super().__init__()
        self.network = network
        self._how = how

    def forward(self, batches: Mapping[str, tuple[NetworkInputs, NetworkTargets]]) -> dict[str, Tensor]:
        networks = _networks(self.network, batches)
        losses = {name: cast(PolicyNetwork, networks[name]).losses(*batch) for name, batch in batches.items()}
        if len(losses) == 1:
            return dict(next(iter(losses.values())))
        return combined(losses, {name: targets for name, (_, targets) in batches.items()}, self._how)


class _Predicted(nn.Module):
    """A network's chunk as what its call gives."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, name: str, names: list[str], inputs: NetworkInputs) -> Tensor:
        return cast(PolicyNetwork, _networks(self.network, names)[name]).predict(inputs)


def _networks(together: nn.Module, names: Iterable[str]) -> dict[str, nn.Module]:
    """The network of each embodiment."""
    names = list(names)
    return {name: cast(nn.ModuleDict, together)[name] for name in names} if len(names) > 1 else {names[0]: together}


def _prepare(network: nn.Module, config: TrainConfig, where: str) -> None:
    """Gives a network the weights to begin with, and says what of it is trained."""
    optimisation = config.optimisation
    if optimisation.start_from:
        path = Path(optimisation.start_from) / WEIGHTS_FILE
        load_into(network, read_weights(path), f"{where}.start_from: {path}")
    if optimisation.frozen:
        freeze(network, optimisation.frozen, f"{where}.frozen")
    if optimisation.lora is not None:
        add_lora(network, optimisation.lora, f"{where}.lora")
