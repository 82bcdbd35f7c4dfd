"""The graph of a bringup as actions of ROS's launch: what the launch files consist of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import launch.logging
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from vla.environment import child_environment
from vla.graph import Bringup, Graph, IncludedLaunch, Process, Spawner, bringup_from, bringup_graph
from vla_core.errors import ConfigError

_INTERRUPT_S = "10"  # launch's own five seconds may be too few for a recorder that closes a file
_OF_ROS2_LAUNCH = ("launch-prefix", "launch-prefix-filter")  # it adds its options to the arguments


def launch_description(fixed: Mapping[str, str] | None = None, required: Iterable[str] = ()) -> LaunchDescription:
    """A launch description with an argument for each field of :class:`vla.graph.Bringup`.

    Args:
        fixed: arguments that this launch file decides itself; the others can be given as ``name:=value``.
        required: arguments that have to be given.
    """
    fixed = fixed or {}
    names = [field.name for field in fields(Bringup) if field.name not in fixed]
    declared = [
        DeclareLaunchArgument(
            field.name,
            default_value=None if field.name in required else _text(field.default),
            description=str(field.metadata.get("doc", "")),
        )
        for field in fields(Bringup)
        if field.name in names
    ]

    def bring_up(context: LaunchContext) -> list[Any]:
        _require(fixed, context)
        _warn_of_unknown(context)
        given = {name: LaunchConfiguration(name).perform(context) for name in names}
        return _actions(bringup_graph(bringup_from({**given, **fixed})))

    return LaunchDescription([*declared, OpaqueFunction(function=bring_up)])


def _require(fixed: Mapping[str, str], context: LaunchContext) -> None:
    """Refuses another value for an argument that the launch file decides: it would be ignored without a word."""
    for name, value in fixed.items():
        found = context.launch_configurations.get(name, value)
        if bringup_from({name: found}) != bringup_from({name: value}):
            raise ConfigError(
                f"{name}: expected {value}, as this launch file has it, found {found}; bringup.launch.py takes any"
            )


def _warn_of_unknown(context: LaunchContext) -> None:
    """Tells of arguments that nobody here reads; they may be meant for another launch file, so they are no error."""
    known = {field.name for field in fields(Bringup)}.union(_OF_ROS2_LAUNCH)
    given = {word.partition(":=")[0] for word in context.argv if ":=" in word}
    if unknown := sorted(given - known):
        launch.logging.get_logger("vla").warning(
            f"unknown argument {', '.join(unknown)}; expected some of {', '.join(sorted(known - {*_OF_ROS2_LAUNCH}))}"
        )


def _actions(graph: Graph) -> list[Any]:
    return [
        *(_include(include) for include in graph.includes),
        *(_spawner(spawner) for spawner in graph.spawners),
        *(_node(process) for process in graph.processes),
    ]


def _node(process: Process) -> Node:
    """A node; when one ends, all do: half a robot is none."""
    return Node(
        package=process.package,
        executable=process.executable,
        name=process.name,
        parameters=[dict(process.parameters)],
        additional_env={name: value for name, value in child_environment().items() if name not in os.environ},
        sigterm_timeout=LaunchConfiguration("sigterm_timeout", default=_INTERRUPT_S),
        output="screen",
        on_exit=Shutdown(reason=f"{process.name} ended"),
    )


def _include(include: IncludedLaunch) -> IncludeLaunchDescription:
    path = PathJoinSubstitution([FindPackageShare(include.package), "launch", include.launch_file])
    return IncludeLaunchDescription(PythonLaunchDescriptionSource(path), launch_arguments=include.arguments.items())


def _spawner(spawner: Spawner) -> Node:
    """A spawner ends when its controller is active; if it is not, nothing would move the arm."""

    def end_all_if_failed(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
        return Shutdown(reason=f"{spawner.controller} could not be started") if event.returncode else None

    return Node(
        package="controller_manager",
        executable="spawner",
        arguments=[spawner.controller, "--param-file", spawner.parameters_file],
        output="screen",
        on_exit=end_all_if_failed,
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
