"""A robot with a forward command controller, through the real nodes: it is told every tick, and also while it comes to rest."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from support import Collector, Nodes, with_parameters, written
from vla_msgs.msg import CommandStatus

from vla.graph import Bringup, bringup_graph
from vla.ros.operator import Operator
from vla.supervisor import Supervisor
from vla_core.embodiment import JointLimits, load_embodiment
from vla_ros.time import to_ns

pytestmark = pytest.mark.ros
STATES, COMMANDS = "/franka/joint_states", "/fr3_forward_controller/commands"
PERIOD_S = 0.01


def test_an_arm_that_is_disarmed_in_motion_is_told_its_way_to_rest(tmp_path: Path) -> None:
    file = written(tmp_path / "forward.yaml", arm={"name": "fr3_forward_controller", "kind": "forward_command"})
    graph = bringup_graph(Bringup(policy="fake", lockstep=True, embodiment=str(file)))
    graph = with_parameters(graph, "sim_node", participants=["command_node", "policy_node", "watch"])
    with (
        Supervisor(graph.processes, os.environ) as supervisor,
        Operator(supervisor.check) as operator,
        Nodes() as nodes,
    ):
        topics = {STATES: JointState, COMMANDS: Float64MultiArray}
        watch = nodes.start("watch", lambda host: Collector(host, topics), lockstep=True)
        operator.reset_world(1)
        operator.run_simulation(0.4)
        operator.arm()
        run = operator.start_policy("wave")
        operator.run_simulation(2.0)
        moving = len(watch.messages[COMMANDS])
        assert np.abs(watch.messages[STATES][-1].velocity).max() > 0.03
        operator.disarm("in motion")
        operator.run_simulation(1.0)
        operator.end_policy(run)
        status = operator.wait_for_command(
            lambda one: to_ns(one.header.stamp) == watch.host.clock.now_ns(), "the last status"
        )

    assert status.state == CommandStatus.READY
    commands = np.array([message.data for message in watch.messages[COMMANDS]])
    assert len(commands) > moving + 3
    limits = JointLimits.of(load_embodiment(file))
    told_anew = np.append(
        True, (np.diff(commands, axis=0) != 0.0).any(axis=1)
    )  # the stop is told in the tick before it too
    velocity = np.diff(commands[told_anew], axis=0) / PERIOD_S
    acceleration = np.diff(velocity, axis=0) / PERIOD_S
    assert (np.abs(velocity) <= limits.velocity).all()
    assert (np.abs(acceleration) <= limits.acceleration).all()
    assert np.abs(velocity[-1]).max() < 0.05 * np.abs(velocity).max()
    np.testing.assert_allclose(watch.messages[STATES][-1].position, commands[-1], atol=5e-3)
