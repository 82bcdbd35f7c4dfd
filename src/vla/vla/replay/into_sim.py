"""A recording back into the simulated robot, and how closely that followed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla.graph import Bringup
from vla.paths import config_folder
from vla.replay.recording import Recording
from vla.replay.ros.players import EpisodePlayer, PlaybackPlayer, Played, ReplayFailed
from vla.replay.tracking import Tracking, largest, read_trace, rms, track
from vla.ros.closed_loop import quality_of
from vla.ros.operator import Operator
from vla_core import config
from vla_core.embodiment import load_embodiment
from vla_core.motion.measure import CommandQuality
from vla_recorder.playback import Timeline
from vla_ros.time import to_ns

__all__ = ["Replay", "ReplayFailed", "bringup_for", "replay"]

_SETTLE_S = 0.3  # streams arrive, the arm stands
_ARMED_S = 0.1  # the gripper's target is announced, so that a recorder can begin
_PIECE_S = 0.5
_END_S = 1.2  # the last action is held, the arm comes to rest, the task's test has its time
_DEFAULT_TASK = "pick_place"
_KINDS = ("position", "velocity", "acceleration", "jerk")


@dataclass(frozen=True, eq=False)
class Replay:
    """How a replay went.

    Attributes:
        recording: what was replayed.
        speed: 1 as recorded.
        timeline: recorded time to simulated time.
        tracking: how closely the simulated arm followed.
        success: the task's test at the end; None where the task or its world is unknown.
        quality: what the arm's controller was commanded, at 1 kHz.
        messages: recorded actions (episode) or commands (bag) played.
        episode: what was recorded of the simulated robot; None if nothing was.
    """

    recording: Recording
    speed: float
    timeline: Timeline
    tracking: Tracking
    success: bool | None
    quality: CommandQuality
    messages: int
    episode: Path | None

    def to_json(self) -> dict[str, Any]:
        """The figures, as ``--json`` writes them."""
        tracking = self.tracking
        return {
            "source": str(self.recording.path),
            "kind": self.recording.kind,
            "into": "sim",
            "speed": self.speed,
            "duration_s": self.recording.duration_s / self.speed,
            "measured_by": self.recording.measured_by,
            "rms_error_rad": tracking.by_joint(rms(tracking.error)),
            "max_error_rad": tracking.by_joint(largest(tracking.error)),
            "command_rms_error_rad": tracking.by_joint(rms(tracking.command_error)),
            "command_max_error_rad": tracking.by_joint(largest(tracking.command_error)),
            "success": self.success,
            "task": self.recording.task,
            "limit_violations": {kind: getattr(self.quality, kind) for kind in _KINDS},
            "messages": self.messages,
        }


def bringup_for(
    recording: Recording,
    folder: Path,
    *,
    embodiment: str = "",
    seed: int | None = None,
    speed: float = 1.0,
    lockstep: bool = True,
) -> Bringup:
    """The graph that replays a recording: simulator and recorder, and what plays it.

    Args:
        folder: for the simulator's trace and what the recorder records of the simulated robot.
        embodiment: name in config/embodiments, or a file; empty: the simulator's own.
        seed: of the world; None: the recording's own, or 0.
    """
    given = {
        "embodiment": embodiment,
        "task": recording.task if _is_known(recording.task) else _DEFAULT_TASK,
        "seed": _seed(recording, seed),
        "replay": recording.kind == "episode",
        "playback": str(recording.path.resolve()) if recording.kind == "bag" else "",
        "playback_speed": speed,
        "record": True,
        "episodes": str(folder / "episodes"),
        "trace": str(folder / "trace"),
        "lockstep": lockstep,
    }
    return config.from_mapping(Bringup, given, "replay")


def replay(
    operator: Operator,
    recording: Recording,
    bringup: Bringup,
    *,
    seed: int | None = None,
    speed: float = 1.0,
    record: bool = True,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Replay:
    """Replays a recording on the simulated robot, from where the arm stood then.

    Args:
        operator: of a graph that has what plays it, paused if it is in lockstep, disarmed.
        bringup: of that graph; its simulator writes a trace.
        seed: of the world; None: the recording's own, or 0.
        record: whether the graph's recorder records it.
        on_progress: is told how much is done, 0 to 1.

    Raises:
        ReplayFailed: it ended early; the message says why.
        OperatorError: a node refused something.
    """
    player = _player(operator, recording, speed)
    simulation = _Simulation(operator, bringup.lockstep)
    world = _seed(recording, seed)
    operator.reset_world(world, recording.arm_start)
    simulation.advance(_SETTLE_S)
    player.prepare()
    simulation.advance(_ARMED_S)
    if record:
        operator.start_episode(recording.prompt or f"replay of {recording.path.name}")
    played = _play(player, simulation, recording.duration_s / speed + _END_S, on_progress)
    success = simulation.success()
    episode = Path(operator.stop_episode("success" if success else "failure").path) if record else None
    player.release()
    quality = quality_of(operator.sim)
    trace = read_trace(_trace_file(operator, Path(bringup.trace), world))
    joint_names = load_embodiment(bringup.embodiment_file).joint_names
    return Replay(
        recording=recording,
        speed=speed,
        timeline=played.timeline,
        tracking=track(recording, trace, played.timeline, joint_names),
        success=success if _is_known(recording.task) and (seed, recording.seed) != (None, None) else None,
        quality=quality,
        messages=played.messages,
        episode=episode,
    )


def _player(operator: Operator, recording: Recording, speed: float) -> EpisodePlayer | PlaybackPlayer:
    if recording.kind == "episode":
        return EpisodePlayer(operator, recording.path, int(recording.stamps_ns[0]), speed)
    return PlaybackPlayer(operator, speed)


def _play(
    player: EpisodePlayer | PlaybackPlayer,
    simulation: _Simulation,
    length_s: float,
    on_progress: Callable[[float], None],
) -> Played:
    """Lets it be played, in so much simulated time, piece by piece so that an early end is noticed."""
    pieces = max(1, round(length_s / _PIECE_S))
    player.start()
    for piece in range(pieces):
        player.require_going_on()
        simulation.advance(length_s / pieces)
        on_progress((piece + 1) / pieces)
    return player.finish()


class _Simulation:
    """Simulated time since a reset, in lockstep or as it goes by."""

    def __init__(self, operator: Operator, lockstep: bool) -> None:
        self._operator = operator
        self._lockstep = lockstep
        self._elapsed_s = 0.0

    def advance(self, seconds: float) -> None:
        """Returns when so much simulated time has gone by."""
        self._elapsed_s += seconds
        if self._lockstep:
            self._operator.run_simulation(seconds)
            return
        until_ns = to_ns(self._operator.sim.header.stamp) + round(seconds * 1e9)
        self._operator.wait_for_sim(
            lambda status: to_ns(status.header.stamp) >= until_ns, f"{seconds:.1f} s of simulated time to go by"
        )

    def success(self) -> bool:
        """The task's test now."""
        if not self._lockstep:
            return bool(self._operator.sim.success)
        whole_s = self._elapsed_s - 1e-6
        return bool(
            self._operator.wait_for_sim(lambda s: s.duration_s > whole_s, "the simulator's last status").success
        )


def _trace_file(operator: Operator, folder: Path, seed: int) -> Path:
    """Has the simulator write down the world that was, by resetting it."""
    resets = operator.sim.resets
    operator.reset_world(seed)
    return folder / f"world_{resets:04d}_seed_{seed}.npz"


def _seed(recording: Recording, given: int | None) -> int:
    if given is not None:
        return given
    return recording.seed or 0


def _is_known(task: str) -> bool:
    return bool(task) and (config_folder() / "tasks" / f"{task}.yaml").is_file()
