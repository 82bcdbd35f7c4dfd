"""See, check, recover, convert, cut and merge episodes."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from vla_core.embodiment import Embodiment

app = typer.Typer(no_args_is_help=True, add_completion=False)

Paths = Annotated[list[Path], typer.Argument(help="Episodes, or folders of them.")]
Target = Annotated[Path, typer.Argument(help="Where the result goes.")]


class Format(str, Enum):
    """What episodes can be converted to."""

    aloha = "aloha"
    aloha_jpeg = "aloha-jpeg"
    robomimic = "robomimic"
    lerobot = "lerobot"
    raw = "raw"
    jpeg = "jpeg"
    lossless = "lossless"


class Kept(str, Enum):
    """How an episode keeps images."""

    raw = "raw"
    jpeg = "jpeg"
    lossless = "lossless"


class Pictures(str, Enum):
    """How a LeRobot data set keeps images."""

    high = "high"
    lossless = "lossless"
    images = "images"


class Outcome(str, Enum):
    """How an episode went."""

    success = "success"
    failure = "failure"


class Robot(str, Enum):
    """What moved."""

    real = "real"
    sim = "sim"
    mock = "mock"


class Colors(str, Enum):
    """Order of an image's colours."""

    rgb = "rgb"
    bgr = "bgr"


@app.command("ls")
def list_them(
    folder: Annotated[Path, typer.Argument(help="Folder of episodes.")] = Path("episodes"),
    html: Annotated[Path | None, typer.Option(help="Write the list with pictures here, as one HTML file.")] = None,
) -> None:
    """The episodes of a folder."""
    from vla.episode_screens import conversion_screen, print_list
    from vla_core.episodes import list_episodes

    paths = list_episodes(folder)
    broken = print_list(folder, paths)
    if html is not None:
        from vla_recorder.pages import write_list_page

        with conversion_screen() as screen:
            write_list_page(folder, paths, html, screen)
        typer.echo(f"with pictures: {html}")
    for problem in broken:
        typer.echo(problem, err=True)
    if broken:
        raise typer.Exit(1)


@app.command("info")
def info(path: Annotated[Path, typer.Argument(help="An episode file.")]) -> None:
    """What is in an episode: vectors with names and units, cameras, and how each stream arrived."""
    from vla.episode_screens import print_info

    print_info(path)


@app.command("validate")
def validate(paths: Paths) -> None:
    """Names everything in which files deviate from the format of docs/episode-format.md."""
    from vla.episode_screens import conversion_screen
    from vla_recorder.formats.editing import episodes_of
    from vla_recorder.formats.validate import deviations

    wrong = 0
    files = episodes_of(paths)
    with conversion_screen() as screen:
        found = {path: deviations(path, screen) for path in files}
    for path, lines in found.items():
        wrong += bool(lines)
        for line in lines:
            typer.echo(f"{path}: {line}")
    typer.echo(f"{len(files) - wrong} of {len(files)} without fault")
    if wrong:
        raise typer.Exit(1)


@app.command("recover")
def recover(folder: Annotated[Path, typer.Argument(help="Folder of episodes.")] = Path("episodes")) -> None:
    """Makes finished episodes of what a recorder left that was killed or whose disk was full. No row of theirs is lost."""
    from vla.episode_screens import counted
    from vla_core.episodes import recover_folder

    lines = recover_folder(folder)
    for line in lines:
        typer.echo(line)
    typer.echo(f"nothing to recover in {folder}" if not lines else f"{counted(len(lines), 'partial file')} in {folder}")


# which options of convert say something about which source; of our own episodes, by what they become
_EXPORTS = {
    "aloha-jpeg": {"quality"},
    "jpeg": {"quality"},
    "lerobot": {"pictures", "plain"},
    "robomimic": {"valid_share"},
}
_IMPORTS = {
    "bag": {"embodiment", "beside", "prompt", "prompt_topic", "by_arrival", "robot", "task", "outcome", "images"},
    "aloha": {"embodiment", "prompt", "images", "rate", "color_order", "act_shift"},
    "lerobot": {"embodiment", "images", "robot"},
    "robomimic": {"images"},
}


@app.command("convert")
def convert(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="Episodes; or a data set of ALOHA, LeRobot or robomimic; or a bag.")],
    target: Annotated[Path, typer.Argument(help="Folder for episodes or a LeRobot data set; file for robomimic.")],
    to: Annotated[Format | None, typer.Option(help="For episodes: raw, jpeg, lossless keep our format.")] = None,
    embodiment: Annotated[str, typer.Option(help="Name in config/embodiments, or a file: of a bag or data set.")] = "",
    beside: Annotated[Path | None, typer.Option(help="The episode beside which a bag was recorded.")] = None,
    prompt: Annotated[str, typer.Option(help="Language instruction, where the source has none.")] = "",
    prompt_topic: Annotated[str, typer.Option(help="std_msgs/String of a bag; default: /prompt and the like.")] = "",
    by_arrival: Annotated[
        list[str] | None, typer.Option(help="Stream of a bag whose header stamps are no good.")
    ] = None,
    robot: Annotated[Robot, typer.Option(help="What moved.")] = Robot.real,
    task: Annotated[str, typer.Option(help="Identifier of the task.")] = "",
    outcome: Annotated[Outcome, typer.Option(help="Of a bag's episode.")] = Outcome.success,
    images: Annotated[Kept | None, typer.Option(help="How imported episodes keep images.")] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Steps per second of ALOHA's episodes.")] = 50.0,
    color_order: Annotated[Colors | None, typer.Option(help="Of ALOHA's images.")] = None,
    act_shift: Annotated[bool, typer.Option("--act-shift", help="ALOHA: the action before, as ACT does.")] = False,
    pictures: Annotated[Pictures, typer.Option(help="LeRobot: H.264 high or lossless, or PNG images.")] = Pictures.high,
    plain: Annotated[bool, typer.Option("--plain", help="LeRobot: only what it knows itself.")] = False,
    quality: Annotated[int | None, typer.Option(min=1, max=100, help="Of JPEG files.")] = None,
    valid_share: Annotated[float, typer.Option(min=0.0, max=0.9, help="robomimic: share for validation.")] = 0.1,
) -> None:
    """Converts episodes to the formats of ALOHA/ACT, robomimic and LeRobot, and bags and such data sets to episodes.

    It says what it had to leave out.
    """
    from vla.episode_screens import conversion_screen, print_report
    from vla_recorder.formats.choosing import export_any
    from vla_recorder.formats.editing import episodes_of
    from vla_recorder.formats.opening import OURS, Said, import_any, kind_of

    kind = kind_of(source)
    ours = kind == OURS
    if ours != (to is not None):
        expected = "for episodes it is needed" if ours else "what is converted becomes episodes"
        raise typer.BadParameter(f"{expected}; found {to.value if to else 'none'}", param_hint="--to")
    _require_fitting(context, _EXPORTS.get(to.value, set()) if to else _IMPORTS[kind], to.value if to else kind)
    with conversion_screen() as screen:
        if to is not None:
            paths = episodes_of([source])
            report = export_any(paths, target, to.value, pictures.value, quality, plain, valid_share, screen)
        else:
            said = Said(
                embodiment=_embodiment(embodiment),
                images=_value(images),
                robot=robot.value,
                prompt=prompt,
                task=task,
                outcome=outcome.value,
                rate_hz=rate,
                color_order=color_order.value if color_order else None,
                act_shift=act_shift,
                prompt_topic=prompt_topic,
                by_arrival=tuple(by_arrival or ()),
                beside=beside,
            )
            report = import_any(source, target, said, screen)
    print_report(report, target)


@app.command("merge")
def merge(paths: Paths, into: Annotated[Path, typer.Option(help="Folder for the copies.")]) -> None:
    """Copies episodes into one folder, numbered on from what is there."""
    from vla.episode_screens import conversion_screen, print_report
    from vla_recorder.formats import editing

    with conversion_screen() as screen:
        report = editing.merge(editing.episodes_of(paths), into, screen)
    print_report(report, into)


@app.command("split")
def split(
    path: Annotated[Path, typer.Argument(help="An episode, or a folder of episodes.")],
    into: Annotated[Path, typer.Option(help="Folder for the parts.")],
    at: Annotated[list[int] | None, typer.Option(help="Step at which a new episode begins; repeat it.")] = None,
    share: Annotated[list[str] | None, typer.Option(help="Of a folder: name=share; repeat it.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
) -> None:
    """Splits an episode at steps, or a folder of episodes by shares (default: train=0.9, valid=0.1)."""
    from vla.episode_screens import conversion_screen, print_report
    from vla_recorder.formats import editing

    with conversion_screen() as screen:
        if path.is_dir():
            shares = _shares(share or ["train=0.9", "valid=0.1"])
            report = editing.split_folder(path, into, shares, seed, screen)
        else:
            report = editing.split_episode(path, into, sorted(at or []), screen)
    print_report(report, into)


@app.command("trim")
def trim(
    path: Annotated[Path, typer.Argument(help="An episode.")],
    into: Annotated[Path, typer.Option(help="Folder for the trimmed episode.")],
    start: Annotated[int, typer.Option(min=0, help="First step that is kept.")] = 0,
    stop: Annotated[int | None, typer.Option(min=1, help="First step that is not kept any more.")] = None,
) -> None:
    """Writes a part of an episode as a new one."""
    from vla.episode_screens import conversion_screen, print_report
    from vla_recorder.formats import editing

    with conversion_screen() as screen:
        report = editing.trim(path, into, start, stop, screen)
    print_report(report, into)


@app.command("view")
def view(
    path: Annotated[Path, typer.Argument(help="An episode.")],
    html: Annotated[Path | None, typer.Option(help="Write the page here; default: beside the episode.")] = None,
    rerun: Annotated[bool, typer.Option("--rerun/--no-rerun", help="Open Rerun if it is installed.")] = True,
) -> None:
    """Shows an episode: in Rerun if it is installed, else as one HTML page that needs nothing else and no network."""
    from vla.episode_screens import conversion_screen
    from vla_recorder.pages import write_episode_page
    from vla_recorder.pages.in_rerun import rerun_is_installed, show_in_rerun

    with conversion_screen() as screen:
        if rerun and html is None and rerun_is_installed():
            show_in_rerun(path, screen)
            return
        target = html or path.with_suffix(".html")
        write_episode_page(path, target, screen)
    typer.echo(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")


def _require_fitting(context: typer.Context, fitting: set[str], what: str) -> None:
    """Refuses options that were given and that would do nothing."""
    for name in context.params:
        source = context.get_parameter_source(name)
        given = source is not None and source.name == "COMMANDLINE"
        if given and name not in {"source", "target", "to", *fitting}:
            options = ", ".join(f"--{option.replace('_', '-')}" for option in sorted(fitting)) or "none"
            raise typer.BadParameter(
                f"does nothing here; expected only options for {what}: {options}",
                param_hint=f"--{name.replace('_', '-')}",
            )


def _value(images: Kept | None) -> Literal["raw", "jpeg", "lossless"] | None:
    return images.value if images else None


def _embodiment(name: str) -> Embodiment | None:
    from vla.paths import named_config
    from vla_core.embodiment import load_embodiment

    return load_embodiment(named_config("embodiments", name)) if name else None


def _shares(texts: list[str]) -> dict[str, float]:
    try:
        return {name: float(share) for name, _, share in (text.partition("=") for text in texts)}
    except ValueError:
        raise typer.BadParameter(f"expected name=share, found {' '.join(texts)}", param_hint="--share") from None
