"""recorder_console: the operator's console for a recorder_node that runs already, on this machine or another.

For one of several, give its namespace: ``ros2 run vla_recorder recorder_console --ros-args -r __ns:=/left``.
"""

from __future__ import annotations

import sys

import rclpy

from vla_recorder.ros.remote import RemoteRecorder
from vla_recorder.terminal import run_console
from vla_ros import host


def main() -> int:
    host.init()
    node = rclpy.create_node("recorder_console")
    try:
        with RemoteRecorder(node) as recorder:
            run_console(recorder)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
