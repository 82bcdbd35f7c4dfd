"""The command ``./vla train``: trains a policy on a folder of episodes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from vla_core.episodes import EpisodeReader, list_episodes
from vla_core.errors import ConfigError, EpisodeError, VlaError, choice
from vla_policies.training.config import TrainConfig, load_preset
from vla_policies.training.loop import TrainResult, train
from vla_policies.training.processes import is_first
from vla_policies.training.progress_bar import progress_bar

PRESETS = Path(__file__).parents[4] / "config" / "policies"  # of the checkout

_FAILED, _WRONG_USAGE, _INTERRUPTED = 1, 2, 130
_STDERR = 2

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_console = Console(stderr=True)


@dataclass(frozen=True)
class _Call:
    """What the command is called with, besides its options."""

    command_line: str
    presets: Path


def main(argv: list[str] | None = None, presets: Path = PRESETS) -> int:
    """Runs the command.

    Args:
        argv: its arguments; those of the process if None.
        presets: folder of the presets that ``--policy`` can name.

    Returns:
        The exit code: 0 trained, 1 failed, 2 wrong usage, 130 stopped before the last step.
    """
    arguments = sys.argv[1:] if argv is None else argv
    try:
        app(args=arguments, prog_name="vla train", obj=_Call(shlex.join(["vla", "train", *arguments]), presets))
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@app.command()
def command(
    context: typer.Context,
    episodes: Annotated[
        list[Path], typer.Option(help="Folder of the episodes to train on; again for that of another embodiment.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint; made if it is not there.")],
    policy: Annotated[str, typer.Option(help="A preset of config/policies, or a YAML file.")] = "act_small",
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps, if not those of the preset.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed, if not that of the preset.")] = None,
    device: Annotated[str | None, typer.Option(help="Where to train, for example cuda.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Train on the first N usable episodes of a folder.")] = None,
    failures: Annotated[bool, typer.Option(help="Train on episodes with the outcome 'failure' too.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on with the run in the folder.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures of the run to this file.")] = None,
) -> None:
    """Train a policy on recorded episodes.

    Ctrl-C finishes the step, writes the checkpoint and ends; --resume goes on from there. On several devices:
    torchrun --nproc-per-node N -m vla_policies.training.cli, with these options.
    """
    try:
        call = context.ensure_object(_Call)
        preset = _preset(policy, call.presets)
        chosen = preset.optimisation
        optimisation = replace(
            chosen,
            steps=chosen.steps if steps is None else steps,
            seed=chosen.seed if seed is None else seed,
            device=chosen.device if device is None else device,
        )
        config = replace(preset, optimisation=optimisation)
        paths = [path for folder in episodes for path in usable_episodes(folder, failures, limit)]
        result = _train(config, paths, out, resume, command_line=call.command_line)
    except VlaError as error:
        _console.print(f"[bold red]error:[/] {error}", soft_wrap=True, highlight=False)
        raise typer.Exit(_WRONG_USAGE if isinstance(error, ConfigError) else _FAILED) from None
    if is_first():
        _report(result, len(paths), json_file)
    raise typer.Exit(0 if result.finished else _INTERRUPTED)


def usable_episodes(folder: Path, with_failures: bool = False, limit: int | None = None) -> list[Path]:
    """The episodes of a folder that may be learned from, in order.

    Raises:
        EpisodeError: no folder, an episode that cannot be read, or no usable episode.
    """
    paths = list_episodes(folder)
    usable: list[Path] = []
    for path in paths:
        if limit is not None and len(usable) == limit:
            break
        with EpisodeReader(path) as reader:
            if with_failures or reader.info.outcome == "success":
                usable.append(path)
    if not usable:
        raise EpisodeError(f"{folder}: expected successful episodes, found {len(paths)} others")
    return usable


def _preset(name: str, presets: Path) -> TrainConfig:
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return load_preset(path)
    known = sorted(preset.stem for preset in presets.glob("*.yaml"))
    if name not in known:
        raise ConfigError(f"--policy: expected {choice(known)} or a YAML file, found '{name}'")
    return load_preset(presets / f"{name}.yaml")


def _train(config: TrainConfig, paths: list[Path], out: Path, resume: bool, command_line: str) -> TrainResult:
    shown = progress_bar(config, len(paths)) if is_first() else nullcontext(lambda progress: None)
    with shown as on_progress, _stop_on_signal() as should_stop:
        return train(config, paths, out, on_progress, should_stop, resume, command_line)


@contextmanager
def _stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C or SIGTERM into a wish to stop; the second one interrupts at once."""
    wished = False

    def wish(number: int, frame: FrameType | None) -> None:
        nonlocal wished
        wished = True
        if is_first():
            # past sys.stderr, in whose print the signal may have come: that refuses a second one from within
            os.write(_STDERR, b"\nstopping after this step; once more to stop at once\n")
        signal.signal(number, signal.default_int_handler)

    previous = {number: signal.signal(number, wish) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: wished
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _report(result: TrainResult, episodes: int, json_file: Path | None) -> None:
    ended = "trained" if result.finished else f"stopped at step {result.step}; --resume goes on"
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result.validation.items())
    _console.print(f"{ended}: {result.checkpoint} ({figures})" if figures else f"{ended}: {result.checkpoint}")
    if json_file is not None:
        data = {**asdict(result), "checkpoint": str(result.checkpoint), "episodes": episodes}
        json_file.write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
