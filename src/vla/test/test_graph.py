"""Which processes a bringup consists of, and which arguments it refuses."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from vla.graph import Bringup, bringup_from, bringup_graph
from vla.paths import named_config
from vla_core.errors import ConfigError

SOURCES = Path(__file__).parents[2]
EVERYTHING = Bringup(policy="fake", record=True, expert=True, replay=True, playback="a.mcap", prompt="stack", seed=4)


def processes(bringup: Bringup) -> dict:
    return {process.name: process for process in bringup_graph(bringup).processes}


# -- arguments -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [field.name for field in fields(Bringup)])
def test_every_argument_says_what_it_is(name):
    (field,) = (field for field in fields(Bringup) if field.name == name)
    assert field.metadata["doc"].strip()


def test_no_argument_has_to_be_given():
    assert bringup_from({}) == Bringup()


def test_arguments_are_read_from_text():
    given = {"robot": "mock", "record": "true", "execution_horizon": "4", "disturbance": "0.5", "prompt": "5"}
    assert bringup_from(given) == Bringup("mock", record=True, execution_horizon=4, disturbance=0.5, prompt="5")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("robot", "moon", "'sim', 'mock' or 'real'"),
        ("strategy", "guessing", "'receding_horizon', 'synchronous', 'temporal_ensembling'"),
        ("record", "perhaps", "boolean"),
        ("execution_horizon", "0", "greater than 0"),
        ("execution_horizon", "eight", "integer"),
        ("seed", "-1", "greater than or equal to 0"),
        ("playback_speed", "0", "greater than 0"),
        ("joint_state_rate_hz", "fast", "number"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_was_expected(name, value, expected):
    with pytest.raises(ConfigError, match=rf"^bringup: {name}: expected .*{re.escape(expected)}.*, found '{value}'$"):
        bringup_from({name: value})


def test_unknown_arguments_are_refused_with_those_that_exist():
    with pytest.raises(ConfigError, match=r"^unknown argument polcy, robt; expected some of") as refused:
        bringup_from({"robt": "real", "polcy": "fake", "seed": "1"})
    listed = str(refused.value).partition("some of ")[2].split(", ")
    assert listed == sorted(field.name for field in fields(Bringup))


@pytest.mark.parametrize(
    ("robot", "embodiment", "file"),
    [("sim", "", "fr3_sim"), ("mock", "", "fr3_sim"), ("real", "", "fr3"), ("sim", "fr3", "fr3")],
)
def test_the_embodiment_fits_the_robot_unless_it_is_named(robot, embodiment, file):
    assert Bringup(robot, embodiment).embodiment_file == named_config("embodiments", file)


# -- a simulated robot -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bringup", "nodes"),
    [
        (Bringup(), []),
        (Bringup("mock"), []),
        (Bringup(policy="fake"), ["command_node", "policy_node"]),
        (Bringup(replay=True), ["command_node", "replay_node"]),
        (Bringup(record=True), ["recorder_node"]),
        (Bringup(expert=True), ["expert_node"]),
        (Bringup(playback="a.mcap"), ["playback_node"]),
        (
            EVERYTHING,
            ["command_node", "policy_node", "replay_node", "playback_node", "recorder_node", "expert_node"],
        ),
    ],
)
def test_what_runs_beside_the_simulator(bringup, nodes):
    graph = bringup_graph(bringup)
    assert [process.name for process in graph.processes] == ["sim_node", *nodes]
    assert (graph.includes, graph.spawners) == ((), ())


def test_every_process_is_a_node_of_its_package():
    for process in processes(EVERYTHING).values():
        assert f'"{process.executable} = {process.module}:main"' in (SOURCES / process.package / "setup.py").read_text()


def test_all_nodes_share_the_embodiment_and_the_pace():
    for lockstep in (False, True):
        bringup = Bringup(**{**vars(EVERYTHING), "lockstep": lockstep})
        for process in processes(bringup).values():
            assert process.parameters["embodiment"] == str(bringup.embodiment_file)
            assert process.parameters["lockstep"] is lockstep


@pytest.mark.parametrize("arguments", [{}, {"record": True}, {**vars(EVERYTHING)}])
def test_in_lockstep_time_waits_for_all_other_nodes(arguments):
    found = processes(Bringup(**{**arguments, "lockstep": True}))
    participants = found.pop("sim_node").parameters["participants"]
    assert participants == (list(found) or [""])  # ROS has no empty list of strings


def test_without_lockstep_time_waits_for_nobody():
    assert "participants" not in processes(EVERYTHING)["sim_node"].parameters


def test_arguments_reach_the_nodes_that_need_them():
    found = processes(EVERYTHING)
    assert (found["sim_node"].parameters["robot"], found["sim_node"].parameters["seed"]) == ("sim", 4)
    assert found["policy_node"].parameters["policy"] == "fake"
    assert found["playback_node"].parameters["path"] == "a.mcap"
    assert (found["recorder_node"].parameters["prompt"], found["recorder_node"].parameters["task"]) == (
        "stack",
        "pick_place",
    )


def test_a_policy_elsewhere_is_executed_here():
    assert set(processes(Bringup(policy="elsewhere"))) == {"sim_node", "command_node"}
    address = "ws://gpu:8000?mapping=a.yaml"
    assert processes(Bringup(policy=address))["policy_node"].parameters["policy"] == address


def test_policy_and_command_node_have_the_same_strategy():
    found = processes(Bringup(policy="fake", strategy="real_time_chunking", inference_delay_ms=120))
    assert {found[name].parameters["strategy"] for name in ("policy_node", "command_node")} == {"real_time_chunking"}
    assert found["policy_node"].parameters["lockstep_latency_ms"] == 120.0


def test_the_prompt_is_the_tasks_unless_one_is_given():
    task = yaml.safe_load(named_config("tasks", "pick_place").read_text())
    assert processes(Bringup(record=True))["recorder_node"].parameters["prompt"] == task["prompt"]


@pytest.mark.parametrize("arguments", [{"embodiment": "nobody"}, {"task": "nothing"}])
def test_a_name_without_a_file_is_refused(arguments):
    (wrong,) = arguments.values()
    with pytest.raises(ConfigError, match=f"expected .*, found '{wrong}'"):
        bringup_graph(Bringup(**arguments))


# -- the real robot --------------------------------------------------------------------------------------------------------


def test_a_real_robot_is_its_drivers_launch_file_and_the_arms_controller():
    graph = bringup_graph(Bringup("real", robot_ip="10.0.0.2", policy="fake", record=True))
    assert [process.name for process in graph.processes] == ["command_node", "policy_node", "recorder_node"]
    (include,) = graph.includes
    (spawner,) = graph.spawners
    controllers = str(named_config("controllers", "fr3"))
    assert (include.package, include.launch_file) == ("franka_bringup", "franka.launch.py")
    assert include.arguments == {
        "robot_type": "fr3",
        "load_gripper": "true",
        "robot_ip": "10.0.0.2",
        "controllers_yaml": controllers,
    }
    assert (spawner.controller, spawner.parameters_file) == ("fr3_arm_controller", controllers)


def test_a_recorder_invents_no_prompt_and_no_task_for_a_real_robot():
    recorder = processes(Bringup("real", robot_ip="10.0.0.2", record=True))["recorder_node"]
    assert [recorder.parameters[name] for name in ("prompt", "task", "robot")] == ["", "", "real"]


def test_a_real_robot_needs_an_address():
    with pytest.raises(ConfigError, match=r"^robot:=real: expected robot_ip:=.*, found none$"):
        bringup_graph(Bringup("real"))


@pytest.mark.parametrize("only_simulated", [{"lockstep": True}, {"expert": True}, {"playback": "a.mcap"}])
def test_a_real_robot_refuses_what_needs_a_simulation(only_simulated):
    with pytest.raises(ConfigError, match=r"lockstep, expert and playback need a simulation; .* found robot:=real"):
        bringup_graph(Bringup("real", robot_ip="10.0.0.2", **only_simulated))


def test_an_embodiment_without_a_driver_cannot_be_real(tmp_path):
    path = tmp_path / "driverless.yaml"
    data = yaml.safe_load(named_config("embodiments", "fr3").read_text())
    path.write_text(yaml.safe_dump({key: value for key, value in data.items() if key != "real"}))
    with pytest.raises(ConfigError, match="real: missing; expected the launch file of the robot's driver"):
        bringup_graph(Bringup("real", embodiment=str(path), robot_ip="10.0.0.2"))
