"""Imports the type support of every interface of the suite: ``python -m vla.ros.interfaces``."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from typing import Any

_PACKAGES = ("vla_msgs", "control_msgs", "controller_manager_msgs", "franka_msgs")
_KINDS = ("msg", "srv", "action")


def main() -> int:
    count = 0
    for package in _PACKAGES:
        for kind in _KINDS:
            try:
                module = importlib.import_module(f"{package}.{kind}")
            except ModuleNotFoundError as error:
                if error.name == f"{package}.{kind}":
                    continue  # a package need not have every kind
                raise
            for _, interface in inspect.getmembers(module, inspect.isclass):
                metaclass: Any = type(interface)
                metaclass.__import_type_support__()
                count += 1
    sys.stdout.write(json.dumps({"count": count, "packages": _PACKAGES}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
