"""What a training run is told: a preset under config/policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field as Constraint

from vla_core import config
from vla_core.embodiment import Embodiment
from vla_core.embodiment.schema import Name
from vla_policies.spec import ImageSize, PolicySpec

Count = Annotated[int, Constraint(gt=0)]
Share = Annotated[float, Constraint(ge=0, lt=1)]
NotNegative = Annotated[float, Constraint(ge=0)]
Positive = Annotated[float, Constraint(gt=0)]


@dataclass(frozen=True)
class Lora:
    """Low-rank changes of layers. All else is frozen."""

    keys: Annotated[tuple[str, ...], Constraint(min_length=1)]
    """linear layers and convolutions, or what holds them; patterns as in ``frozen``"""
    rank: Count = 16
    alpha: Positive = 16.0
    """the change is multiplied by alpha / rank"""
    dropout: Share = 0.0
    """of what goes into the change"""
    trained: tuple[str, ...] = ()
    """what is trained as a whole, for example a new action head"""


@dataclass(frozen=True)
class Optimisation:
    """AdamW with a linear warm-up and a cosine decay to zero, and an exponential moving average (EMA) of the weights."""

    steps: Count
    batch_size: Count
    learning_rate: Positive
    backbone_learning_rate: Positive | None = None
    """of the vision backbones, if another one"""
    warmup_steps: Annotated[int, Constraint(ge=0)] = 500
    weight_decay: NotNegative = 1e-4
    gradient_clip: Positive = 10.0
    """largest norm of the gradient of all parameters together"""
    ema_decay: Share = 0.999
    """the averaged weights are those that are validated and shipped; 0: the last ones are"""
    seed: Annotated[int, Constraint(ge=0)] = 0
    device: str = "cpu"
    start_from: str = ""
    """folder of a policy whose weights the run begins with, instead of random ones"""
    precision: Literal["float32", "bfloat16"] = "float32"
    """of the computation of losses; weights, their average and the optimiser have 32 bits"""
    gradient_checkpointing: bool = False
    """less memory for about a third more time: layers are computed again for their gradients"""
    frozen: tuple[str, ...] = ()
    """parts that are not trained, by names of modules or parameters; ``*`` within a name, ``**`` for any number of names"""
    lora: Lora | None = None
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """with several processes, whether each has all weights and moments (``ddp``) or a part of them (``fsdp``)"""
    embodiments_loss: Literal["elements", "sum"] = "elements"
    """of several embodiments. ``elements``: the mean over all numbers of actions that count, as GR00T has it; ``sum``: the sum of
    the embodiments' means, as CrossFormer has it with a head for each"""

    def __post_init__(self) -> None:
        if self.lora is not None and self.frozen:
            raise ValueError("frozen: expected none with lora, which freezes all but lora.trained, found some")


@dataclass(frozen=True)
class Augmentation:
    """Random changes of what the network sees in training."""

    shift_px: Annotated[int, Constraint(ge=0)] = 0
    """largest shift of an image in either direction; its edge is repeated"""
    brightness: NotNegative = 0.0
    """largest change, as a share of white"""
    contrast: Share = 0.0
    """largest change of the factor 1"""
    state_noise: NotNegative = 0.0
    """standard deviation of what is added to the normalised state"""


@dataclass(frozen=True)
class Data:
    """How the episodes are used."""

    validation_share: Share = 0.1
    """share of the episodes that is only validated on; at least one if not 0"""
    validation_windows: Count = 512
    memory_limit_gib: Positive = 6.0
    """images that need more than this are read from the files as they are needed"""


@dataclass(frozen=True)
class Reporting:
    """How often something is written [training steps]."""

    log_every: Count = 50
    checkpoint_every: Count = 500
    """the averaged weights are validated and written, with the state for resuming"""


@dataclass(frozen=True)
class EmbodimentPart:
    """What is special about one of several embodiments in a run; what is not given is as for all."""

    weight: Positive = 1.0
    """its share of every batch is this, divided by the sum of all"""
    network: Mapping[str, Any] = field(default_factory=dict)
    """hyper-parameters that say which ends of the network are this embodiment's; no other weights may follow from them"""
    action_horizon: Count | None = None
    action_reference: Literal["absolute", "qpos"] | None = None
    proprioception: tuple[Literal["qpos", "qvel", "effort"], ...] | None = None
    cameras: Mapping[Name, ImageSize] | None = None


@dataclass(frozen=True)
class TrainConfig:
    """The content of a file under config/policies."""

    schema: Literal["vla/training/1"]
    name: str
    family: str
    action_horizon: Count
    optimisation: Optimisation
    network: Mapping[str, Any] = field(default_factory=dict)
    """the family's hyper-parameters"""
    action_reference: Literal["absolute", "qpos"] = "absolute"
    proprioception: tuple[Literal["qpos", "qvel", "effort"], ...] = ("qpos",)
    cameras: Mapping[Name, ImageSize] | None = None
    """roles and the sizes that the network sees; by default all cameras of the embodiment, at their own sizes"""
    augmentation: Augmentation = Augmentation()
    data: Data = Data()
    reporting: Reporting = Reporting()
    embodiments: Mapping[Name, EmbodimentPart] = field(default_factory=dict)
    """where episodes of several robots are trained on: their names, all of them"""
    description: str = ""

    def spec_for(self, embodiment: Embodiment) -> PolicySpec:
        """The outside of the network on this robot.

        Raises:
            EmbodimentMismatch: the robot lacks a camera or a proprioception group of the preset.
        """
        sizes = {role: ImageSize(camera.width, camera.height) for role, camera in embodiment.cameras.items()}
        spec = PolicySpec(
            cameras=self.cameras or sizes,
            proprioception=self.proprioception,
            action_horizon=self.action_horizon,
            action_reference=self.action_reference,
        )
        spec.require_fits(embodiment, f"preset '{self.name}'")
        return spec

    def part(self, embodiment: str, batch_size: int) -> TrainConfig:
        """The settings for one of the ``embodiments``, with its own part of every batch."""
        part = self.embodiments[embodiment]
        place = list(self.embodiments).index(embodiment)
        given = ("action_horizon", "action_reference", "proprioception", "cameras")
        own = {name: getattr(part, name) for name in given if getattr(part, name) is not None}
        memory = self.data.memory_limit_gib / len(self.embodiments)
        chosen = self.optimisation
        return replace(
            self,
            name=f"{self.name}_{embodiment}",
            network=config.merge(dict(self.network), dict(part.network)),
            optimisation=replace(chosen, batch_size=batch_size, seed=chosen.seed + place),
            data=replace(self.data, memory_limit_gib=memory),
            embodiments={},
            **own,
        )


def load_preset(path: Path | str) -> TrainConfig:
    """Reads a preset. Raises ConfigError, one line for every key that is wrong, missing or unknown."""
    return config.load(TrainConfig, Path(path))
