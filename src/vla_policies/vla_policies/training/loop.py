"""Training a policy on episodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from vla_core import config as configuration
from vla_policies import provenance
from vla_policies.checkpoint import CONFIG_FILE, Checkpoint, PolicyConfig, Provenance, write_checkpoint
from vla_policies.errors import TrainingError
from vla_policies.families import hyper_parameters
from vla_policies.loading import require_device
from vla_policies.training.config import TrainConfig
from vla_policies.training.data import TrainingData, read_parts
from vla_policies.training.processes import Processes, joined
from vla_policies.training.report import LossLog, Progress
from vla_policies.training.state import STATE_FILE, identity, restore_state, save_state
from vla_policies.training.trainer import Trainer

TRAINING_FOLDER = "training"


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
        checkpoint: folder of the policy.
        step: training steps done.
        finished: False if it was asked to stop before the last one; it can be resumed.
        validation: last validation figures of the averaged weights, by name.
        seconds: time that this process spent on steps.
    """

    checkpoint: Path
    step: int
    finished: bool
    validation: Mapping[str, float]
    seconds: float


def train(
    config: TrainConfig,
    episodes: Sequence[Path],
    out: Path,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    resume: bool = False,
    command_line: str = "",
) -> TrainResult:
    """Trains a policy and writes its checkpoint folder, with the state for resuming and the losses under ``training/``.

    On a processor a run depends on the settings, the seed, the episodes and the number of processes only: resumed, it gives the
    same weights as in one go. Under torchrun each process trains on its part of every batch, and the first one validates and
    writes.

    Args:
        config: the preset.
        episodes: finished episodes of one embodiment, or of those that the preset names.
        out: the checkpoint's folder; of several embodiments, it has a folder for each, by its name.
        on_progress: called at every report and every validation.
        should_stop: asked after every step; on True everything is written and the run ends.
        resume: go on with the run in ``out``.
        command_line: kept in the checkpoint.

    Raises:
        EpisodeError: no episodes, or one that cannot be read.
        EmbodimentMismatch: the episodes are of different robots, or of one that lacks what the preset needs.
        ConfigError: a hyper-parameter of the network is wrong.
        CheckpointError: unknown family or device, or the checkpoint cannot be written.
        TrainingError: ``out`` holds another run or policy, the run cannot be resumed, or the loss is not finite.
    """
    with torch.random.fork_rng(devices=[]), joined(require_device(config.optimisation.device)) as processes:
        run = _Run(config, list(episodes), Path(out), resume, command_line, processes)
        return run.loop(on_progress, should_stop)


class _Run:
    """One training run: its data, its trainer, its files."""

    def __init__(
        self,
        config: TrainConfig,
        episodes: list[Path],
        out: Path,
        resume: bool,
        command_line: str,
        processes: Processes,
    ) -> None:
        self._processes = processes
        self._config = config
        self._episodes = episodes
        self._out = out
        self._folder = out / TRAINING_FOLDER
        self._command_line = command_line
        if not resume:
            _require_unused(out, tuple(config.embodiments))
        _make(self._folder)
        self._parts = read_parts(config, episodes, processes)
        self._trainer = Trainer(config, self._parts, processes)
        self._step = restore_state(self._folder, self._trainer, self._identity) if resume else 0
        self._log = LossLog(self._folder, self._step)
        self._validation: dict[str, float] = {}
        self._started = time.monotonic()

    @property
    def _identity(self) -> str:
        return identity(self._config, self._episodes)

    def loop(self, on_progress: Callable[[Progress], None], should_stop: Callable[[], bool]) -> TrainResult:
        """Steps until the last one, or until asked to stop."""
        steps, reporting = self._config.optimisation.steps, self._config.reporting
        recent: list[dict[str, float]] = []
        last = self._step >= steps
        while not last:
            losses, rate = self._trainer.step(self._step)
            self._step += 1
            recent.append(losses)
            last = self._step == steps or self._processes.any(should_stop())
            writing = last or self._step % reporting.checkpoint_every == 0
            if writing or self._step % reporting.log_every == 0:
                progress = self._report(recent, rate, validate=writing)
                if self._processes.is_first:
                    on_progress(progress)
                recent = []
            if writing:
                self._write()
        seconds = time.monotonic() - self._started
        return TrainResult(self._out, self._step, self._step == steps, self._validation, seconds)

    def _report(self, recent: list[dict[str, float]], rate: float, validate: bool) -> Progress:
        if validate and (self._processes.is_first or self._trainer.all_validate):
            self._validation = self._trainer.validate()
        progress = Progress(
            step=self._step,
            steps=self._config.optimisation.steps,
            learning_rate=rate,
            losses={name: sum(losses[name] for losses in recent) / len(recent) for name in recent[0]},
            validation=self._validation if validate else {},
            seconds=time.monotonic() - self._started,
        )
        self._log.add(progress)
        return progress

    def _write(self) -> None:
        weights, state = self._trainer.weights(), self._trainer.state()
        if not self._processes.is_first:
            return
        folders: list[Path] = []
        for name, data in self._parts.items():
            folder = self._out / name if self._config.embodiments else self._out
            write_checkpoint(folder, Checkpoint(self._description(data), weights), same_weights=folders[:1])
            folders.append(folder)
        save_state(self._folder, state, self._step, self._identity)
        self._log.write()

    def _description(self, data: TrainingData) -> PolicyConfig:
        config, pipeline = data.config, data.pipeline
        paths = data.demonstrations.paths
        return PolicyConfig(
            schema="vla/policy/1",
            name=config.name,
            family=config.family,
            network=configuration.to_mapping(hyper_parameters(config.family, config.network, config.name)),
            spec=pipeline.spec,
            normalisation=data.normalisation,
            provenance=Provenance(
                created=provenance.now(),
                source=str(paths[0].parent),
                episodes=len(paths),
                episode_steps=len(data.demonstrations),
                train_steps=self._step,
                seed=self._config.optimisation.seed,
                command_line=self._command_line,
                versions=provenance.versions(),
                metrics=self._validation,
            ),
            embodiment=pipeline.embodiment,
        )


def _require_unused(out: Path, embodiments: tuple[str, ...]) -> None:
    """Raises TrainingError where the policy would take the place of another."""
    if (out / TRAINING_FOLDER / STATE_FILE).exists():
        raise TrainingError(f"{out}: holds a training run; resume it, or name another folder")
    for folder in (out, *(out / name for name in embodiments)):
        if (folder / CONFIG_FILE).exists():
            raise TrainingError(f"{folder}: holds a policy, which training would replace; name another folder")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be made ({error.strerror or error})") from error
