"""The whole loop in one go, on the simulated robot: record demonstrations, run a policy, replay, measure, and report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from vla.demo_figures import DemoRun, Replayed, figures_of, report_of, video_clips
from vla.demo_folder import EPISODES, FIGURES, LOGS, REPORT, TRACE, VIDEO, clear_folder
from vla.demo_screen import DemoScreen, DemoStep
from vla.demonstrations import record_demonstrations
from vla.evaluation import EpisodeResult, Evaluation
from vla.graph import Bringup
from vla.outputs import write_json
from vla.paths import named_config
from vla.recorder_keys import KeyToggle
from vla.replay import read_recording, replay
from vla.report import Replay, ReportedEpisode, write_report
from vla.ros.closed_loop import Hooks, evaluate
from vla.ros.console import operators_console
from vla.ros.operator import Operator
from vla.seeds import demonstration_seeds, evaluation_seeds
from vla.session import session
from vla.video import write_video
from vla_core import config
from vla_core.embodiment import load_embodiment
from vla_core.errors import VlaError
from vla_recorder.operations import RecorderOperations

DEMONSTRATIONS = 3
_ATTEMPTS = 2 * DEMONSTRATIONS  # worlds in which the expert may try
_PARTS = 10  # of the replay's progress
_LIMIT_S = 12.0  # simulated time after which an episode has failed


class DemoFailed(VlaError):
    """A step of the demo did not do what it is to show."""


@dataclass(frozen=True)
class Demo:
    """What is to be done.

    Attributes:
        out: folder for everything that it leaves behind.
        policy: checkpoint folder, or ``fake``.
        task: name in config/tasks, or a file.
        episodes: of the policy.
        seed: which worlds.
        video: whether a video is made.
    """

    out: Path
    policy: str
    task: str = "pick_place"
    episodes: int = 10
    seed: int = 0
    video: bool = True

    @property
    def bringup(self) -> Bringup:
        return Bringup(
            policy=self.policy,
            task=self.task,
            record=True,
            expert=True,
            replay=True,
            lockstep=True,
            episodes=str(self.out / EPISODES),
            trace=str(self.out / TRACE),
        )

    @property
    def prompt(self) -> str:
        return str(config.read_yaml(named_config("tasks", self.task)).get("prompt", ""))


def run_demo(demo: Demo, screen: DemoScreen) -> dict[str, Any]:
    """Does everything, and returns the figures, which are also in the report and in ``figures.json`` beside it.

    Raises:
        ConfigError: the folder holds files that are not a demo's.
        VlaError: a step failed; the message says why.
    """
    began = time.monotonic()
    clear_folder(demo.out)
    run = _run_nodes(demo, screen)
    with screen.step("measure and report", 3 if demo.video else 2) as step:
        video = demo.out / VIDEO if demo.video else None
        if video is not None:
            write_video(video, video_clips(run))
            step.advance("video")
        figures = figures_of(run, demo.out, video, time.monotonic() - began)
        step.advance("figures")
        write_report(demo.out / REPORT, report_of(run, figures, video))
        write_json(demo.out / FIGURES, figures)
        step.advance()
    return figures


def _run_nodes(demo: Demo, screen: DemoScreen) -> DemoRun:
    """Everything that needs the nodes; they have ended when it returns, and their files are complete."""
    began_at = datetime.now().astimezone()
    with session(demo.bringup, demo.out / LOGS) as running, operators_console() as console:
        operator = running.operator
        with screen.step("start the nodes", 4) as step:
            _wait_for_nodes(operator, step)
        with screen.step(f"record {DEMONSTRATIONS} demonstrations", DEMONSTRATIONS) as step:
            demonstrations = _demonstrate(demo, operator, console.recorder, step)
        with screen.step(f"run the policy, {demo.episodes} episodes", demo.episodes) as step:
            evaluation, paths = _roll_out(demo, operator, step)
        policy_id = operator.policy.policy_id
        with screen.step("replay a demonstration", _PARTS) as step:
            replayed = _replay(demo, operator, demonstrations[0], step)
    return DemoRun(
        began_at=began_at,
        bringup=demo.bringup,
        prompt=demo.prompt,
        seed=demo.seed,
        policy_id=policy_id,
        demonstrations=demonstrations,
        rollouts=_rollouts(evaluation, paths, demo.out / TRACE),
        evaluation=evaluation.to_json(),
        chunks=tuple(console.chunks),
        replayed=replayed,
    )


def _wait_for_nodes(operator: Operator, step: DemoStep) -> None:
    for status in ("sim", "command", "policy", "recorder"):
        getattr(operator, status)  # waits for the first
        step.advance(f"{status}_node is there")


# -- demonstrations ----------------------------------------------------------------------------------------------------


def _demonstrate(
    demo: Demo, operator: Operator, recorder: RecorderOperations, step: DemoStep
) -> tuple[ReportedEpisode, ...]:
    """Has the expert demonstrate until there are enough episodes; one in which it does not succeed is discarded."""
    made: list[ReportedEpisode] = []
    seeds = demonstration_seeds(demo.seed, _ATTEMPTS)
    for one in record_demonstrations(operator, seeds, KeyToggle(recorder, step.tell)):
        if one.success:
            made.append(ReportedEpisode("demonstration", len(made) + 1, one.seed, True, one.duration_s, Path(one.path)))
            step.advance()
        if len(made) == DEMONSTRATIONS:
            return tuple(made)
    raise DemoFailed(f"expected {DEMONSTRATIONS} demonstrations from {_ATTEMPTS} attempts, found {len(made)}")


# -- the policy --------------------------------------------------------------------------------------------------------


def _roll_out(demo: Demo, operator: Operator, step: DemoStep) -> tuple[Evaluation, list[Path]]:
    """Runs the policy in closed loop, and records each run as an episode with its outcome."""
    paths: list[Path] = []
    successes = 0

    def began() -> None:
        operator.start_episode(demo.prompt, operator.policy.policy_id)

    def ended(success: bool) -> None:
        paths.append(Path(operator.stop_episode("success" if success else "failure").path))

    def show(result: EpisodeResult) -> None:
        nonlocal successes
        successes += result.success
        step.advance(f"{successes} of {len(paths)} succeeded" + (f"; {result.message}" if result.message else ""))

    hooks = Hooks(began, ended)
    seeds = evaluation_seeds(demo.seed, demo.episodes)
    return evaluate(operator, seeds, demo.prompt, _LIMIT_S, show, hooks), paths


def _rollouts(evaluation: Evaluation, paths: list[Path], traces: Path) -> tuple[ReportedEpisode, ...]:
    return tuple(
        ReportedEpisode(
            "rollout",
            number,
            result.seed,
            result.success,
            result.duration_s,
            path,
            _trace(traces, result),
            result.message,
        )
        for number, (result, path) in enumerate(zip(evaluation.episodes, paths, strict=True), start=1)
    )


def _trace(folder: Path, result: EpisodeResult) -> Path:
    """What the simulator kept of a world: a file for each, named by its seed."""
    found = sorted(folder.glob(f"world_*_seed_{result.seed}.npz"))
    if not found:
        raise DemoFailed(f"{folder}: expected a trace of world {result.seed}, found none")
    return found[-1]


# -- replay ------------------------------------------------------------------------------------------------------------


def _replay(demo: Demo, operator: Operator, demonstration: ReportedEpisode, step: DemoStep) -> Replayed:
    """Plays the commands of a demonstration into the simulated robot again."""
    if demonstration.path is None:
        raise DemoFailed("expected a recorded demonstration to replay, found none")
    bringup = demo.bringup
    recording = read_recording(demonstration.path, load_embodiment(bringup.embodiment_file))
    made = replay(operator, recording, bringup, record=False, on_progress=lambda share: step.reach(share * _PARTS))
    source = f"demonstration {demonstration.number}"
    return Replayed(
        made.to_json(), Replay(source, made.tracking.joint_names, made.tracking.times_s, made.tracking.error)
    )
