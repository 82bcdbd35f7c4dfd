"""CrossFormer as a policy of one robot: normalised observations in, a chunk of normalised actions out."""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from vla_core.errors import CheckpointError
from vla_policies.batch import NetworkInputs, NetworkShape, NetworkTargets
from vla_policies.crossformer import language
from vla_policies.crossformer.config import CrossFormerConfig, Ends, ImageGroup, Readout, VectorGroup
from vla_policies.crossformer.memory import Goals, Memory
from vla_policies.crossformer.network import CrossFormer, History, Task
from vla_policies.heads.readout_l1 import ReadoutL1Head

STATE = "state"


class CrossFormerPolicy(CrossFormer):
    """The network, and which of its groups the robot's cameras and its state are, and which of its heads acts.

    A policy is given one observation at a time. With a ``history`` of more than one step it remembers those before until it is to
    :meth:`forget`. Parameters have the names that they have in the network; ``instruction_table`` (n, e) is there if the
    configuration has instructions.
    """

    instruction_table: Tensor

    def __init__(self, config: CrossFormerConfig, shape: NetworkShape) -> None:
        """Raises CheckpointError if the configuration is of a robot with other sizes."""
        ends = config.ends or ends_for(config, shape)
        super().__init__(config.trunk, ends)
        self.config = config
        self._cameras = tuple(ends.images) if config.ends is None else config.cameras
        self._state = STATE if config.ends is None and shape.state_dim else config.state
        self._require_fits(shape)
        self._memory = Memory(config.history)
        self._goals = Goals(config.goals)
        if config.language == "table":
            size = (len(config.instructions), config.trunk.language_dim)
            self.register_buffer("instruction_table", torch.zeros(size))

    @property
    def known_instructions(self) -> tuple[str, ...]:
        """Some that it can be asked for."""
        return self.config.instructions or ("",)

    def predict(self, inputs: NetworkInputs, goals: Mapping[str, Tensor] | None = None) -> Tensor:
        """The action chunk (B, K, A).

        Args:
            inputs: one observation each.
            goals: goal images by image group (B, 3, H, W), normalised as the observation's; by default the configured ones.
        """
        images, states, valid = self._memory.with_last(inputs)
        seen = dict(zip(self._cameras, images, strict=True))
        history = History(seen, {} if self._state is None else {self._state: states}, valid)
        language = self._language(inputs.prompts or ("",) * len(inputs.state), inputs.state)
        return self.act(history, Task(language, self._goals.like(seen) if goals is None else goals), self.config.head)

    def forget(self) -> None:
        """What is seen next is the first observation."""
        self._memory.forget()

    def losses(self, inputs: NetworkInputs, targets: NetworkTargets) -> Mapping[str, Tensor]:
        """``l1`` of the actions that are not padding, which is the ``loss``, and ``mse``."""
        history, task = self._given(inputs)
        readouts = self.readouts(history, task, (self.config.head,))[self.config.head][:, -1]
        head = cast(ReadoutL1Head, self.heads[self.config.head])
        losses = head.loss(head(readouts), targets.actions, ~targets.is_pad[..., None])
        return {"loss": losses["l1"], **losses}

    def _given(self, inputs: NetworkInputs) -> tuple[History, Task]:
        """One step, and no goal, as in training."""
        batch = len(inputs.state)
        images = dict(zip(self._cameras, (image[:, None] for image in inputs.images), strict=True))
        vectors = {} if self._state is None else {self._state: inputs.state[:, None]}
        history = History(images, vectors, torch.ones((batch, 1), dtype=torch.bool, device=inputs.state.device))
        return history, Task(self._language(inputs.prompts or ("",) * batch, inputs.state))

    def _language(self, prompts: tuple[str, ...], like: Tensor) -> Tensor | None:
        """Embeddings (B, e)."""
        if self.config.language == "none":
            return None
        if self.config.language == "table":
            rows = language.table_rows(prompts, self.config.instructions)
            return torch.stack([self.instruction_table[row] for row in rows]).to(like)
        made = {prompt: language.hashed(prompt, self.trunk.language_dim) for prompt in dict.fromkeys(prompts)}
        return torch.stack([made[prompt] for prompt in prompts]).to(like)

    def _require_fits(self, shape: NetworkShape) -> None:
        readout = self.ends.readouts[self.config.head]
        state = None if self._state is None else self.ends.vectors[self._state].size
        wanted = {
            "cameras": (len(self._cameras), shape.cameras),
            "numbers of state": (state if state is not None else shape.state_dim, shape.state_dim),
            f"actions of a chunk of the head '{self.config.head}'": (readout.horizon, shape.action_horizon),
            f"dimensions of an action of the head '{self.config.head}'": (readout.action_dim, shape.action_dim),
        }
        for what, (expected, found) in wanted.items():
            if expected != found:
                raise CheckpointError(f"crossformer: {what}: the network has {expected}, the policy {found}")


def ends_for(config: CrossFormerConfig, shape: NetworkShape) -> Ends:
    """Groups for a robot that the network is made for: one for each camera, one for the state, and the head that acts."""
    film = config.language != "none"
    tokens = 1 if config.key_points else config.trunk.encoder.tokens(*config.image_size)
    image = ImageGroup(goal=False, film=film, tokens=tokens, key_points=config.key_points)
    return Ends(
        images={f"camera_{number}": image for number in range(shape.cameras)},
        vectors={STATE: VectorGroup(shape.state_dim, config.state_dropout)} if shape.state_dim else {},
        readouts={config.head: Readout(shape.action_horizon, shape.action_dim)},
    )
