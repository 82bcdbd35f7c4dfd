"""ROS parameters from a frozen dataclass: the dataclass is the only statement of names, types, defaults and meaning."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, get_type_hints

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node

from vla_core import config

T = TypeVar("T")


def declare(node: Node, cls: type[T]) -> T:
    """Declares a read-only parameter for each field of ``cls`` and returns the values that the node was started with.

    A field's ``metadata["doc"]`` becomes the parameter's description. A field without default must be given.

    Raises:
        ConfigError: a value is missing or has the wrong type.
    """
    values: dict[str, Any] = {}
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        has_default = field.default is not dataclasses.MISSING
        if not node.has_parameter(field.name):
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            doc = field.metadata.get("doc", "")
            descriptor = ParameterDescriptor(description=doc, read_only=True, dynamic_typing=True)
            node.declare_parameter(field.name, default if has_default else None, descriptor)
        value = node.get_parameter(field.name).value
        if value is None and not has_default:
            continue  # reported as missing
        values[field.name] = str(value) if hints[field.name] is str and value is not None else value
    return config.from_mapping(cls, values, f"parameters of {node.get_name()}")
