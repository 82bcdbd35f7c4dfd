"""See which policies can be trained and loaded, what a checkpoint is, and convert foreign checkpoints and back.

A checkpoint is a folder of ours or of LeRobot, OpenVLA, openpi, GR00T or CrossFormer, or a .ckpt file of tonyzhaozh/act.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from vla_policies.containers import Told

app = typer.Typer(no_args_is_help=True)

_WRONG_USAGE = 2

Source = Annotated[
    Path, typer.Argument(help="A checkpoint's folder, ours or another's, or a .ckpt file of tonyzhaozh/act.")
]
EmbodimentName = Annotated[
    str, typer.Option("--embodiment", help="Robot of a foreign checkpoint: name in config/embodiments, or a file.")
]
Cameras = Annotated[
    list[str] | None,
    typer.Option(
        "--camera", metavar="ROLE", help="Camera of a foreign checkpoint; repeat it, in the checkpoint's order."
    ),
]
Heads = Annotated[int | None, typer.Option(min=1, help="Attention heads (nheads) of a checkpoint of tonyzhaozh/act.")]
Tell = Annotated[
    list[str] | None,
    typer.Option(
        "--tell",
        metavar="KEY=VALUE",
        help="What else a foreign checkpoint does not say; it is asked for by name. Repeat it.",
    ),
]
AllowMissing = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Weights that may be missing; they stay untrained. Repeat it."),
]
AllowUnexpected = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Weights that the network has not and that are left out. Repeat it."),
]
Bgr = Annotated[bool, typer.Option("--bgr", help="A checkpoint of tonyzhaozh/act that was trained on BGR images.")]


class To(str, Enum):
    """What a checkpoint is converted to."""

    vla = "vla"
    lerobot = "lerobot"
    original = "original"


@app.command("list")
def list_policies() -> None:
    """The action heads there are, the presets that can be trained, and the checkpoints that come with the suite."""
    from rich.console import Console
    from rich.table import Table

    from vla.paths import config_folder
    from vla_policies.catalogue import published_heads
    from vla_policies.checkpoint import CONFIG_FILE, read_config
    from vla_policies.training.config import load_preset

    console = Console(highlight=False, markup=False)
    titles = ("family", "head", "chunk", "sees", "scheme", "steps", "chains")
    heads = Table(
        *titles, title="Heads, with their published sizes", title_justify="left", box=None, padding=(0, 1, 0, 0)
    )
    rows = list(published_heads())
    heads.columns[1].min_width = max(len(word) for head in rows for word in head.head.split())
    for head in rows:
        scheme = head.normalisation.split("_", 1)[1]  # without whose it is
        heads.add_row(head.family, head.head, head.chunk, head.inputs, scheme, str(head.steps), head.continues)
    console.print(heads)
    console.print()
    presets = Table("preset", "family", "horizon", "training", "device", "what it is", box=None, padding=(0, 1, 0, 0))
    for column in presets.columns[:-1]:
        column.no_wrap = True
    for path in sorted((config_folder() / "policies").glob("*.yaml")):
        preset = load_preset(path)
        training = preset.optimisation
        presets.add_row(
            path.stem,
            preset.family,
            str(preset.action_horizon),
            f"{training.steps} steps",
            training.device,
            preset.description,
        )
    console.print(presets)
    shipped = Table("checkpoint", "family", "horizon", "trained", "robot", "cameras", box=None, padding=(0, 1, 0, 0))
    for path in sorted((config_folder().parent / "checkpoints").glob(f"*/{CONFIG_FILE}")):
        config = read_config(path.parent)
        shipped.add_row(
            path.parent.name,
            config.family,
            str(config.spec.action_horizon),
            f"{config.provenance.train_steps} steps",
            config.embodiment.name,
            ", ".join(config.spec.cameras),
        )
    if shipped.row_count:
        console.print()
        console.print(shipped)


@app.command("info")
def info(
    path: Source,
    embodiment: EmbodimentName = "",
    camera: Cameras = None,
    heads: Heads = None,
    bgr: Bgr = False,
    tell: Tell = None,
    allow_missing: AllowMissing = None,
    allow_unexpected: AllowUnexpected = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it to this file too.")] = None,
) -> None:
    """What a checkpoint is: family, head, actions with names and units, normalisation, cameras, size, and where it is from.

    It is read as a whole, so that what is shown can be loaded. Foreign checkpoints do not say everything: name the rest. With an
    embodiment it is also shown whether it fits that robot.
    """
    from vla.outputs import write_json
    from vla.policy_screen import print_policy
    from vla_core.errors import EmbodimentMismatch
    from vla_policies import describe
    from vla_policies.errors import MissingInformation

    try:
        told = _told(embodiment, camera, heads, bgr, tell, path.stem, allow_missing, allow_unexpected)
        described = describe(path, told)
    except MissingInformation as error:
        raise _wrong_usage(error) from error
    print_policy(described)
    if json_file is not None:
        write_json(json_file, described)
    differences = described.get("fits", {}).get("differences")
    if differences:
        raise EmbodimentMismatch(f"{path}: does not fit '{described['fits']['embodiment']}': {'; '.join(differences)}")


@app.command("convert")
def convert(
    source: Source,
    out: Annotated[Path, typer.Option(help="Folder to make. One that is there already is not overwritten.")],
    to: Annotated[To, typer.Option(help="Ours, LeRobot's, or that of tonyzhaozh/act.")] = To.vla,
    embodiment: EmbodimentName = "",
    camera: Cameras = None,
    heads: Heads = None,
    bgr: Bgr = False,
    tell: Tell = None,
    allow_missing: AllowMissing = None,
    allow_unexpected: AllowUnexpected = None,
    name: Annotated[str, typer.Option(help="What to call the policy; default the folder's name.")] = "",
) -> None:
    """Make a checkpoint of ours of any other, or write an ACT of ours as LeRobot or tonyzhaozh/act have it.

    Nothing in the source is executed. What it does not say must be named.
    """
    from vla.policy_screen import print_policy
    from vla_policies import describe
    from vla_policies.act.export import original_settings
    from vla_policies.containers import convert
    from vla_policies.errors import MissingInformation

    try:
        called = name or out.absolute().name
        told = _told(embodiment, camera, heads, bgr, tell, called, allow_missing, allow_unexpected)
        written = convert(source, out, to.value, told)
    except MissingInformation as error:
        raise _wrong_usage(error) from error
    if to is To.vla:
        print_policy(describe(out))
    typer.echo(f"made {out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    if to is To.original:
        settings = ", ".join(f"{key} {value}" for key, value in original_settings(written.config).items())
        typer.echo(f"what its code must be told: {settings}")


def _told(
    embodiment: str,
    cameras: list[str] | None,
    heads: int | None,
    bgr: bool,
    tell: list[str] | None,
    name: str,
    allow_missing: list[str] | None,
    allow_unexpected: list[str] | None,
) -> Told:
    from vla.paths import named_config
    from vla_core.embodiment import load_embodiment
    from vla_policies.containers import Told

    robot = load_embodiment(named_config("embodiments", embodiment)) if embodiment else None
    details = dict(_detail(text) for text in tell or ())
    allowed = (tuple(allow_missing or ()), tuple(allow_unexpected or ()))
    return Told(robot, tuple(cameras or ()), heads, bgr, name, details, *allowed)


def _detail(text: str) -> tuple[str, Any]:
    """``key=value``, of which the value is written as in YAML."""
    import yaml

    key, separator, value = text.partition("=")
    try:
        return (key, yaml.safe_load(value)) if separator else _not_a_detail(text)
    except yaml.YAMLError:
        return _not_a_detail(text)


def _not_a_detail(text: str) -> NoReturn:
    raise typer.BadParameter(f"expected KEY=VALUE, found '{text}'", param_hint="--tell")


def _wrong_usage(error: Exception) -> typer.Exit:
    typer.echo(f"vla: {error}", err=True)
    return typer.Exit(_WRONG_USAGE)
