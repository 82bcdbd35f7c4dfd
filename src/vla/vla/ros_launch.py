"""The graph of a bringup as actions of ROS's launch: what the launch files consist of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from vla.graph import Bringup, Graph, IncludedLaunch, Process, Spawner, bringup_from, bringup_graph


def launch_description(fixed: Mapping[str, str] | None = None) -> LaunchDescription:
    """A launch description with an argument for each field of :class:`vla.graph.Bringup`.

    Args:
        fixed: arguments that this launch file decides itself; the others can be given as ``name:=value``.
    """
    fixed = fixed or {}
    open_fields = [field for field in fields(Bringup) if field.name not in fixed]
    declared = [
        DeclareLaunchArgument(
            field.name, default_value=_text(field.default), description=str(field.metadata.get("doc", ""))
        )
        for field in open_fields
    ]

    def bring_up(context: LaunchContext) -> list[Any]:
        given = {field.name: LaunchConfiguration(field.name).perform(context) for field in open_fields}
        return _actions(bringup_graph(bringup_from({**given, **fixed})))

    return LaunchDescription([*declared, OpaqueFunction(function=bring_up)])


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
        output="screen",
        on_exit=Shutdown(reason=f"{process.name} ended"),
    )


def _include(include: IncludedLaunch) -> IncludeLaunchDescription:
    path = PathJoinSubstitution([FindPackageShare(include.package), "launch", include.launch_file])
    return IncludeLaunchDescription(PythonLaunchDescriptionSource(path), launch_arguments=include.arguments.items())


def _spawner(spawner: Spawner) -> Node:
    return Node(
        package="controller_manager",
        executable="spawner",
        arguments=[spawner.controller, "--param-file", spawner.parameters_file],
        output="screen",
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
