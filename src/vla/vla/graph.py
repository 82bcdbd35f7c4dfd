"""Which processes a bringup consists of: declared once, for ``./vla up`` and for the launch files alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field as Constraint

from vla.paths import config_folder, named_config
from vla_core import config
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.errors import ConfigError
from vla_core.strategies import DEFAULT_DECAY, Decay, Strategy
from vla_recorder.settings import RecorderSettings

ELSEWHERE = "elsewhere"  # given for a policy whose node somebody else starts
Value = bool | int | float | str | list[str]


@dataclass(frozen=True)
class Process:
    """A node in a process of its own: ``ros2 run package executable``, or ``python -m module``, with parameters."""

    name: str
    package: str
    executable: str
    parameters: Mapping[str, Value]

    @property
    def module(self) -> str:
        return f"{self.package}.{self.executable}"


@dataclass(frozen=True)
class IncludedLaunch:
    """A launch file of another package that is part of a bringup."""

    package: str
    launch_file: str
    arguments: Mapping[str, str]


@dataclass(frozen=True)
class Spawner:
    """A controller that is loaded, configured and activated by ``controller_manager``'s spawner."""

    controller: str
    parameters_file: str


@dataclass(frozen=True)
class Graph:
    """What a bringup consists of."""

    processes: tuple[Process, ...]
    includes: tuple[IncludedLaunch, ...] = ()
    spawners: tuple[Spawner, ...] = ()


@dataclass(frozen=True)
class Bringup:
    """The arguments of a bringup, as in ``./vla up robot:=sim policy:=...`` and ``ros2 launch vla bringup.launch.py``."""

    robot: Literal["sim", "mock", "real"] = field(
        default="sim", metadata={"doc": "sim: simulated; mock: commands mirrored to states; real: the robot"}
    )
    embodiment: str = field(
        default="", metadata={"doc": "name in config/embodiments, or a file; empty: fr3, or fr3_sim for sim and mock"}
    )
    robot_ip: str = field(default="", metadata={"doc": "address of the robot; needed for robot:=real"})
    policy: str = field(
        default="",
        metadata={
            "doc": "checkpoint folder to run, or a server's address (docs/remote.md); empty: no policy; elsewhere: its node is "
            "on another machine; fake: a slow wave of one joint"
        },
    )
    device: str = field(default="cpu", metadata={"doc": "where the policy runs: cpu, cuda or cuda:N"})
    strategy: Strategy = field(
        default="receding_horizon", metadata={"doc": "how chunks are asked for and combined, see docs/strategies.md"}
    )
    execution_horizon: Annotated[int, Constraint(gt=0)] = field(
        default=8, metadata={"doc": "steps from one inference to the next"}
    )
    prefix_decay: Decay = field(
        default=DEFAULT_DECAY,
        metadata={"doc": "real-time chunking: how the hold on the executed chunk falls: linear, exp, ones or zeros"},
    )
    speed: Annotated[float, Constraint(gt=0, le=1)] = field(
        default=1.0, metadata={"doc": "share of its speed at which what the policy asks for is passed"}
    )
    record: bool = field(default=False, metadata={"doc": "whether a recorder runs"})
    episodes: str = field(default="episodes", metadata={"doc": "folder for recorded episodes"})
    prompt: str = field(default="", metadata={"doc": "language instruction; empty: the task's, or the list's"})
    prompts: str = field(
        default="",
        metadata={"doc": "name in config/prompts, or a file: prompts to be recorded, with counts; empty: none"},
    )
    task: str = field(default="pick_place", metadata={"doc": "name in config/tasks, or a file (simulation)"})
    seed: Annotated[int, Constraint(ge=0)] = field(default=0, metadata={"doc": "seed of the first world (simulation)"})
    expert: bool = field(default=False, metadata={"doc": "whether a scripted expert waits to act (simulation)"})
    disturbance: float = field(
        default=0.0, metadata={"doc": "how likely the expert's movements drift off their way, 0 to 1"}
    )
    replay: bool = field(default=False, metadata={"doc": "whether a replay node waits for episodes to play"})
    playback: str = field(
        default="", metadata={"doc": "bag whose commands a playback node waits to play (simulation); empty: none"}
    )
    playback_speed: Annotated[float, Constraint(gt=0)] = field(
        default=1.0, metadata={"doc": "of the playback; 1: as recorded"}
    )
    lockstep: bool = field(
        default=False, metadata={"doc": "simulated time waits for every node: reproducible on any machine"}
    )
    inference_delay_ms: Annotated[float, Constraint(ge=0)] = field(
        default=40.0, metadata={"doc": "in lockstep, simulated time that an inference takes [ms]"}
    )
    joint_state_rate_hz: float = field(default=1000.0, metadata={"doc": "rate of the simulated arm's joint states"})
    trace: str = field(default="", metadata={"doc": "folder for what was commanded at 1 kHz (simulation); empty: none"})

    @property
    def embodiment_file(self) -> Path:
        return named_config("embodiments", self.embodiment or ("fr3" if self.robot == "real" else "fr3_sim"))


def bringup_from(arguments: Mapping[str, str]) -> Bringup:
    """Reads the arguments of a command line (``name:=value``) or of a launch file.

    Raises:
        ConfigError: an unknown argument or a wrong value, with what was expected.
    """
    known = {entry.name for entry in fields(Bringup)}
    unknown = sorted(set(arguments) - known)
    if unknown:
        raise ConfigError(f"unknown argument {', '.join(unknown)}; expected some of {', '.join(sorted(known))}")
    return config.from_mapping(Bringup, dict(arguments), "bringup")


def bringup_graph(arguments: Bringup) -> Graph:
    """The processes of a bringup.

    Raises:
        ConfigError: a file that the arguments name is missing or wrong, or arguments contradict each other.
    """
    embodiment = load_embodiment(arguments.embodiment_file)
    nodes = _nodes(arguments)
    if arguments.robot == "real":
        if arguments.lockstep or arguments.expert or arguments.playback:
            raise ConfigError(
                "lockstep, expert and playback need a simulation; expected robot:=sim or robot:=mock, found robot:=real"
            )
        return Graph(tuple(nodes), *_real_robot(embodiment, arguments.robot_ip))
    participants = [node.name for node in nodes]
    return Graph((_simulator(arguments, embodiment, participants), *nodes))


def _nodes(arguments: Bringup) -> list[Process]:
    """The suite's own nodes that take part, besides the simulator."""
    common: dict[str, Value] = {"embodiment": str(arguments.embodiment_file), "lockstep": arguments.lockstep}
    nodes = []
    if arguments.policy or arguments.replay:
        nodes.append(
            Process(
                "command_node",
                "vla_policy_node",
                "command_node",
                {**common, "strategy": arguments.strategy, "speed": float(arguments.speed)},
            )
        )
    if arguments.policy not in ("", ELSEWHERE):
        policy: dict[str, Value] = {
            "policy": arguments.policy,
            "device": arguments.device,
            "strategy": arguments.strategy,
            "execution_horizon": arguments.execution_horizon,
            "prefix_decay": arguments.prefix_decay,
            "lockstep_latency_ms": float(arguments.inference_delay_ms),
        }
        nodes.append(Process("policy_node", "vla_policy_node", "policy_node", {**common, **policy}))
    if arguments.replay:
        nodes.append(Process("replay_node", "vla_policy_node", "replay_node", common))
    if arguments.playback:
        playback: dict[str, Value] = {
            "path": arguments.playback,
            "mode": "commands",
            "speed": float(arguments.playback_speed),
        }
        nodes.append(Process("playback_node", "vla_recorder", "playback_node", {**common, **playback}))
    if arguments.record:
        recorder: dict[str, Value] = {
            **config.to_mapping(config.load(RecorderSettings, config_folder() / "recorder.yaml")),
            "episodes": arguments.episodes,
            "prompt": arguments.prompt or ("" if arguments.prompts else _prompt_of(arguments)),
            "prompts": str(named_config("prompts", arguments.prompts)) if arguments.prompts else "",
            "task": "" if arguments.robot == "real" else Path(arguments.task).stem,
            "robot": arguments.robot,
        }
        nodes.append(Process("recorder_node", "vla_recorder", "recorder_node", {**common, **recorder}))
    if arguments.expert:
        expert: dict[str, Value] = {
            "task": str(named_config("tasks", arguments.task)),
            "disturbance": arguments.disturbance,
        }
        nodes.append(Process("expert_node", "vla_sim", "expert_node", {**common, **expert}))
    return nodes


def _prompt_of(arguments: Bringup) -> str:
    """The prompt of the simulated task; nobody knows that of a real one."""
    if arguments.robot == "real":
        return ""
    return str(config.read_yaml(named_config("tasks", arguments.task)).get("prompt", ""))


def _simulator(arguments: Bringup, embodiment: Embodiment, participants: list[str]) -> Process:
    parameters: dict[str, Value] = {
        "embodiment": str(arguments.embodiment_file),
        "controllers": str(_controllers_file(embodiment)),
        "task": str(named_config("tasks", arguments.task)),
        "robot": arguments.robot,
        "seed": arguments.seed,
        "joint_state_rate_hz": float(arguments.joint_state_rate_hz),
        "lockstep": arguments.lockstep,
        "trace": arguments.trace,
    }
    if arguments.lockstep:
        parameters["participants"] = participants or [""]
    return Process("sim_node", "vla_sim", "sim_node", parameters)


def _real_robot(embodiment: Embodiment, robot_ip: str) -> tuple[tuple[IncludedLaunch, ...], tuple[Spawner, ...]]:
    if embodiment.real is None:
        raise ConfigError(
            f"embodiment '{embodiment.name}': real: missing; expected the launch file of the robot's driver"
        )
    if not robot_ip:
        raise ConfigError("robot:=real: expected robot_ip:=<the robot's address>, found none")
    controllers = str(_controllers_file(embodiment))
    given = {**embodiment.real.arguments, "robot_ip": robot_ip, "controllers_yaml": controllers}
    include = IncludedLaunch(embodiment.real.package, embodiment.real.launch_file, given)
    return (include,), (Spawner(embodiment.arm.name, controllers),)


def _controllers_file(embodiment: Embodiment) -> Path:
    """The controllers of a robot are those of the arm they belong to: ``fr3_sim`` has those of ``fr3``."""
    return named_config("controllers", embodiment.arm.controllers)
