"""The launch files under ROS's launch: their arguments, what they bring up, and that all of it ends together."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from launching import FRANKA_LAUNCH_FILE, ROOT, Launched, StandIns, launch_file
from support import eventually

from vla.graph import Bringup, bringup_from, bringup_graph
from vla.ros.operator import Operator, OperatorError
from vla_core.episodes import EpisodeReader

_REASON = "needs ROS's launch, which PyPI does not have: source a ROS 2 Jazzy"
launch = pytest.importorskip("launch", reason=_REASON)
pytest.importorskip("launch_ros", reason=_REASON)

from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
from launch.utilities import perform_substitutions  # noqa: E402

pytestmark = pytest.mark.ros
Launch = Callable[..., Launched]

DECIDED = {"bringup": {}, "record": {"record"}, "replay": {"replay"}, "rollout": {}, "sim": {"robot"}}
REQUIRED = {"rollout": {"policy"}}
NODES = {
    "sim_node": "vla_sim",
    "expert_node": "vla_sim",
    "recorder_node": "vla_recorder",
    "playback_node": "vla_recorder",
    "command_node": "vla_policy_node",
    "policy_node": "vla_policy_node",
    "replay_node": "vla_policy_node",
}


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Launch]:
    """Launches a launch file by its name."""
    folder = tmp_path / "launch"
    folder.mkdir()
    with ExitStack() as ending:

        def start(name: str, *words: str, stand_ins: StandIns | None = None) -> Launched:
            environment = stand_ins.environment() if stand_ins else {}
            return ending.enter_context(Launched(launch_file(name), words, folder, environment))

        yield start


@pytest.fixture
def stand_ins(tmp_path: Path) -> StandIns:
    """All nodes of the suite as stand-ins."""
    made = StandIns(tmp_path / "stand-ins")
    for executable, package in NODES.items():
        made.add(package, executable)
    return made


@pytest.fixture
def robot(stand_ins: StandIns) -> StandIns:
    """A robot's driver and spawner as stand-ins too."""
    stand_ins.add_launch_file("franka_bringup", FRANKA_LAUNCH_FILE)
    stand_ins.add("controller_manager", "spawner", then="")
    return stand_ins


# -- arguments -------------------------------------------------------------------------------------------------------------


def test_there_is_no_other_launch_file():
    assert {path.name for path in (ROOT / "launch").iterdir() if path.is_file()} == {
        launch_file(name).name for name in DECIDED
    }


@pytest.mark.parametrize("name", DECIDED)
def test_the_arguments_are_those_of_a_bringup(name):
    context = launch.LaunchContext()
    source = PythonLaunchDescriptionSource(str(launch_file(name)))
    declared = source.get_launch_description(context).get_launch_arguments()
    open_fields = [field for field in fields(Bringup) if field.name not in DECIDED[name]]
    assert [argument.name for argument in declared] == [field.name for field in open_fields]
    assert [argument.description for argument in declared] == [field.metadata["doc"] for field in open_fields]
    defaults = {
        argument.name: perform_substitutions(context, argument.default_value)
        for argument in declared
        if argument.default_value is not None
    }
    assert {field.name for field in open_fields} - set(defaults) == REQUIRED.get(name, set())
    assert bringup_from(defaults) == Bringup()


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("bringup", ["robot:=moon"], "bringup: robot: expected 'sim', 'mock' or 'real', found 'moon'"),
        ("bringup", ["execution_horizon:=0"], "execution_horizon: expected greater than 0, found '0'"),
        ("bringup", ["embodiment:=nobody"], "found 'nobody'"),
        ("bringup", ["robot:=real"], "expected robot_ip:="),
        ("record", ["robot:=real", "robot_ip:=10.0.0.2", "expert:=true"], "need a simulation"),
        ("sim", ["robot:=real"], "robot: expected sim, as this launch file has it, found real"),
        ("record", ["record:=false"], "record: expected true, as this launch file has it, found false"),
        ("rollout", [], "missing required argument 'policy'"),
    ],
)
def test_a_wrong_argument_is_refused_with_one_message(launched, stand_ins, name, words, message):
    refused = launched(name, *words, stand_ins=stand_ins)
    assert refused.wait() == 1
    assert refused.output.count(message) == 1, refused.output
    assert refused.output.count("[ERROR]") == 1
    assert "Traceback" not in refused.output
    assert refused.started == {}


def test_an_argument_that_a_launch_file_decides_may_be_given_as_it_is(launched, stand_ins):
    given = launched("record", "robot:=mock", "record:=True", stand_ins=stand_ins)
    assert stand_ins.parameters("recorder_node")["robot"] == "mock"
    assert given.interrupt() == 0


def test_an_unknown_argument_is_told(launched, stand_ins):
    given = launched("bringup", "robot:=mock", "polcy:=fake", stand_ins=stand_ins)
    stand_ins.told("sim_node")
    assert given.output.count("unknown argument polcy; expected some of device, disturbance,") == 1
    assert given.interrupt() == 0


# -- what is brought up ----------------------------------------------------------------------------------------------------

ODD_PROMPT = "prompt:=yes: put \"5\" [there] 'now' \\"


@pytest.mark.parametrize(
    ("name", "words", "nodes"),
    [
        ("sim", [], {"sim_node"}),
        ("bringup", [], {"sim_node"}),
        ("bringup", ["robot:=mock", "seed:=3", "joint_state_rate_hz:=200"], {"sim_node"}),
        ("record", ["prompt:=5", "episodes:=2024", "expert:=True"], {"sim_node", "recorder_node", "expert_node"}),
        ("record", [ODD_PROMPT], {"sim_node", "recorder_node"}),
        ("replay", ["trace:=true"], {"sim_node", "command_node", "replay_node"}),
        (
            "rollout",
            ["policy:=fake", "execution_horizon:=4", "lockstep:=true"],
            {"sim_node", "command_node", "policy_node"},
        ),
        (
            "bringup",
            ["policy:=fake", "record:=true", "replay:=true", "playback:=a.mcap", "expert:=true", "lockstep:=true"],
            set(NODES),
        ),
    ],
)
def test_a_launch_file_brings_up_the_nodes_of_its_graph(launched, stand_ins, name, words, nodes):
    given = dict(word.split(":=", 1) for word in words)
    fixed = {key: "sim" if key == "robot" else "true" for key in DECIDED[name]}
    graph = bringup_graph(bringup_from({**given, **fixed}))
    up = launched(name, *words, stand_ins=stand_ins)
    told = {node: stand_ins.parameters(node) for node in nodes}
    assert up.interrupt() == 0, up.output
    assert set(up.started) == up.ended_well == nodes
    assert told == {process.name: dict(process.parameters) for process in graph.processes}


def test_a_node_gets_the_environment_that_vla_gives_it_and_keeps_what_is_set(launched, stand_ins, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    up = launched("sim", stand_ins=stand_ins)
    environment = stand_ins.told("sim_node")["environment"]
    assert (environment["OMP_NUM_THREADS"], environment["MKL_NUM_THREADS"]) == ("1", "3")
    assert environment["ROS_DOMAIN_ID"] == os.environ["ROS_DOMAIN_ID"]
    assert up.interrupt() == 0


def test_when_one_process_dies_all_end(launched, stand_ins):
    up = launched("bringup", "policy:=fake", "record:=true", stand_ins=stand_ins)
    nodes = {"sim_node", "command_node", "policy_node", "recorder_node"}
    for node in nodes:
        stand_ins.told(node)
    os.kill(up.started["command_node"], signal.SIGKILL)
    up.wait()
    assert up.ended_well == nodes - {"command_node"}
    assert "process[command_node-2] was required: shutting down launched system" in up.output


# -- the real robot, as far as there is one --------------------------------------------------------------------------------


def test_the_driver_gets_the_robots_address_type_and_controllers(launched, robot):
    up = launched("bringup", "robot:=real", "robot_ip:=10.0.0.2", stand_ins=robot)
    given = robot.told("franka.launch")
    arguments = robot.told("spawner")["arguments"]
    controllers = given["controllers_yaml"]
    assert Path(controllers) == ROOT / "config" / "controllers" / "fr3.yaml"
    assert given == {
        "robot_type": "fr3",
        "arm_prefix": "",
        "namespace": "",
        "robot_ip": "10.0.0.2",
        "load_gripper": "true",
        "use_fake_hardware": "false",
        "fake_sensor_commands": "false",
        "joint_state_rate": "30",
        "load_franka_robot_state_broadcaster": "true",
        "controllers_yaml": controllers,
    }
    assert arguments[: arguments.index("--ros-args")] == ["fr3_arm_controller", "--param-file", controllers]
    assert "fr3_arm_controller" in yaml.safe_load(Path(controllers).read_text())["/**"]
    up.wait()
    assert set(up.started) == up.ended_well == {"spawner"}


def test_the_nodes_of_a_real_robot_know_that_it_is_real(launched, robot):
    words = ["robot:=real", "robot_ip:=10.0.0.2", "policy:=fake", "record:=true"]
    up = launched("bringup", *words, stand_ins=robot)
    nodes = {"command_node", "policy_node", "recorder_node"}
    told = {node: robot.parameters(node) for node in nodes}
    assert {Path(parameters["embodiment"]).name for parameters in told.values()} == {"fr3.yaml"}
    assert (told["recorder_node"]["robot"], told["recorder_node"]["task"]) == ("real", "")
    eventually(lambda: "spawner" in up.ended_well, 120)
    assert up.interrupt() == 0
    assert set(up.started) == up.ended_well == nodes | {"spawner"}


def test_if_the_arms_controller_cannot_be_started_all_end(launched, robot):
    robot.add("controller_manager", "spawner", then="sys.exit(1)")
    up = launched("record", "robot:=real", "robot_ip:=10.0.0.2", stand_ins=robot)
    up.wait()
    assert "process[spawner-1] was required" in up.output
    assert set(up.started) == {"spawner", "recorder_node"}


# -- the simulated robot ---------------------------------------------------------------------------------------------------


def arms(operator: Operator) -> bool:
    """Whether command_node could be armed: it refuses until it has found the robot."""
    try:
        operator.arm()
    except OperatorError:
        return False
    return True


@pytest.mark.parametrize("kind", ["mock", "sim"])
def test_a_robot_comes_up_in_real_time_and_ends_well(launched, kind):
    up = launched("bringup", f"robot:={kind}", "seed:=7")
    with Operator(up.check) as operator:
        assert operator.sim.seed == 7
        assert up.interrupt() == 0, up.output
    assert set(up.started) == up.ended_well == {"sim_node"}
    assert "Traceback" not in up.output


@pytest.mark.parametrize("kind", ["mock", "sim"])
def test_a_robot_that_is_recorded_while_a_policy_runs_ends_well(launched, tmp_path, kind):
    """The episode is kept, as a failure. In lockstep, so that it takes a busy machine no more steps than a quick one."""
    words = [f"robot:={kind}", "policy:=fake", "lockstep:=true", f"episodes:={tmp_path / 'episodes'}"]
    up = launched("record", *words)
    with Operator(up.check) as operator:
        operator.run_simulation(0.2)
        operator.wait_until(lambda: arms(operator), "an arm that is there", 240)
        operator.start_policy()
        operator.run_simulation(0.5)
        path = Path(operator.start_episode())
        operator.run_simulation(1.0)
        assert up.interrupt() == 0, up.output
    assert set(up.started) == up.ended_well == {"sim_node", "command_node", "policy_node", "recorder_node"}
    with EpisodeReader(path) as episode:
        assert (episode.info.outcome, episode.info.metadata.robot) == ("failure", kind)
        assert episode.info.steps > 20
