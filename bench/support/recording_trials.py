"""Trials of the recorder: what it costs beside a process that throws everything away, and what it loses."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.support.discard import EXECUTORS, LOOP
from bench.support.figures import median_ratio
from bench.support.operator import Operator
from bench.support.processes import Child
from bench.support.recorded import Losses
from bench.support.robot import Robot, write_embodiment

IMAGES = ("raw", "jpeg")
_SETTLE_S = 2.0  # after a process has started, or an episode
_WARM_UP = 0.2  # share of a long run after which memory is to stay what it is


@dataclass(frozen=True)
class Trials:
    """A running source, and what is measured on it.

    Attributes:
        folder: for episodes and logs.
        environment: of all processes.
        start_ns: what the source counts time from.
        operator: starts and stops episodes.
        robot: what is published.
    """

    folder: Path
    environment: Mapping[str, str]
    start_ns: int
    operator: Operator
    robot: Robot

    def cost_of_discarding(self, way: str, window_s: float) -> float:
        """Processor time by time of a process that subscribes and throws everything away."""
        with Child(["bench.support.discard", way], self.environment, self.folder / "discard.log") as child:
            child.wait_until_ready()
            time.sleep(_SETTLE_S)
            return _cost(child, window_s)

    def cost_of_recording(self, images: str, window_s: float) -> float:
        """Processor time by time of a recorder_node while it records."""
        with self._recorder(images, native=False) as child:
            self.operator.start()
            time.sleep(_SETTLE_S)
            cost = _cost(child, window_s)
            self.operator.stop().unlink()
            return cost

    def cheapest_executor(self, window_s: float) -> tuple[str, dict[str, float]]:
        """Which executor throws everything away at the least cost, each tried twice; and what was found of each."""
        tried = {way: [self.cost_of_discarding(way, window_s)] for way in EXECUTORS}
        for way, found in tried.items():
            found.append(self.cost_of_discarding(way, window_s))
        costs = {way: round(min(found), 4) for way, found in tried.items()}
        return min(costs, key=lambda way: costs[way]), costs

    def costs(self, executor: str, rounds: int, window_s: float) -> dict[str, Any]:
        """Costs in turns, and the medians of their ratios: to the executor, and to the loop."""
        each: dict[str, list[float]] = {name: [] for name in ("executor", "raw", "loop", "jpeg")}
        for _ in range(rounds):
            each["executor"].append(self.cost_of_discarding(executor, window_s))
            each["raw"].append(self.cost_of_recording("raw", window_s))
            each["loop"].append(self.cost_of_discarding(LOOP, window_s))
            each["jpeg"].append(self.cost_of_recording("jpeg", window_s))
        return {
            "cpu_ratio_raw": median_ratio(each["raw"], each["executor"]),
            "cpu_ratio_jpeg95": median_ratio(each["jpeg"], each["executor"]),
            "cpu_ratio_raw_to_loop": median_ratio(each["raw"], each["loop"]),
            "cpu_ratio_jpeg95_to_loop": median_ratio(each["jpeg"], each["loop"]),
            **{f"cpu_{name}": statistics.median(found) for name, found in each.items()},
            "cpu_each": {name: [round(cost, 4) for cost in found] for name, found in each.items()},
        }

    def losses(self, images: str, seconds: float, episode_s: float) -> dict[str, Any]:
        """One recorder, one episode after the other, for so long; every image and joint message is looked for in the files."""
        losses, memory, recorded_s = Losses(), [], 0.0
        with self._recorder(images, native=True) as child:
            while recorded_s < seconds:
                self.operator.start()
                end = time.monotonic() + min(episode_s, seconds - recorded_s)
                while time.monotonic() < end:
                    time.sleep(min(1.0, max(0.0, end - time.monotonic())))
                    child.require_alive()
                    memory.append(child.rss_mb())
                recorded_s += episode_s
                path = self.operator.stop()
                losses.add(path, self.robot, self.start_ns)
                path.unlink()
        settled = memory[int(_WARM_UP * len(memory)) :]
        tenth = max(1, len(settled) // 10)
        return {
            "dropped": losses.dropped,
            "dropped_joint_messages": losses.dropped_joint_messages,
            "duplicated": losses.duplicated,
            "misaligned": losses.misaligned,
            "rows": losses.rows,
            "joint_messages": losses.joint_messages,
            "missing": dict(losses.missing),
            "disk_dropped": losses.disk_dropped,
            "longest_latency_ms": round(max(losses.latency_ms, default=0.0), 1),
            "image_kb": round(losses.image_bytes / max(1, losses.rows * self.robot.cameras) / 1000, 1),
            "rss_mb": round(statistics.median(settled[-tenth:]), 1),
            "rss_growth_mb": round(statistics.median(settled[-tenth:]) - statistics.median(settled[:tenth]), 1),
        }

    @contextmanager
    def _recorder(self, images: str, native: bool) -> Iterator[Child]:
        embodiment = write_embodiment(self.robot, self.folder / f"{images}.yaml", images, native)
        parameters = {"embodiment": embodiment, "episodes": self.folder / "episodes", "robot": "real"}
        arguments = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
        command = ["vla_recorder.recorder_node", "--ros-args", *arguments]
        with Child(command, self.environment, self.folder / "recorder.log") as child:
            yield child


@contextmanager
def trials(folder: Path, environment: Mapping[str, str]) -> Iterator[Trials]:
    """Starts the source and ROS in this process."""
    import rclpy

    start_ns = time.time_ns()
    rclpy.init()
    operator = Operator()
    try:
        with Child(["bench.support.source", str(start_ns)], environment, folder / "source.log") as source:
            source.wait_until_ready()
            yield Trials(folder, environment, start_ns, operator, Robot())
    finally:
        operator.close()
        rclpy.try_shutdown()


def _cost(child: Child, window_s: float) -> float:
    begin, before_s = time.monotonic(), child.cpu_s()
    time.sleep(window_s)
    return (child.cpu_s() - before_s) / (time.monotonic() - begin)
