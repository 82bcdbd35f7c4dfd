"""CPU of the alignment against message_filters' ApproximateTime, for three cameras at 30 Hz and joints at 500 Hz.

All take the same messages in the same order, in turns within one run. The other side is a plain reimplementation of the Python
ApproximateTimeSynchronizer: a dictionary for each topic, and for every message a search through those of the other topics for
a set whose stamps lie within the slop. Like the original in ROS 2 it makes an rclpy Duration for every stamp it looks at, and a
Time for those that are near. ``ratio_integers`` is against the same search with integers instead, which nobody has today.
"""

from __future__ import annotations

import dataclasses
import gc
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterable
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rclpy.duration import Duration
from rclpy.time import Time

from bench.support.figures import machine, median_ratio, publish
from vla_core.alignment import Aligner
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.embodiment.schema import Align, Steps
from vla_core.observation import Sample, Step

app = typer.Typer()

CAMERAS = ("scene", "wrist", "side")
JOINTS = "joints"
MS = 1_000_000
START_NS = 1_000_000_000_000
TICK_NS = 10_000_000  # how often recorder_node asks for steps
SLOP_NS = 50 * MS
QUEUE = 100  # messages that the synchronizer keeps of a topic: 0.2 s of joints, as late as an image may be

Arrival = tuple[str, Sample]
Near = Callable[[Iterable[int], int, int], list[int]]


def near_as_in_ros(stamps: Iterable[int], stamp_ns: int, slop_ns: int) -> list[int]:
    """The stamps within the slop, the nearest first, found with the objects that ROS 2 makes of them."""
    slop = Duration(nanoseconds=slop_ns)
    near = []
    for stamp in stamps:
        delta = Duration(nanoseconds=abs(stamp - stamp_ns))
        if delta > slop:
            continue
        near.append((Time(nanoseconds=stamp), delta))
    return [time.nanoseconds for time, _ in sorted(near, key=itemgetter(1))]


def near_with_integers(stamps: Iterable[int], stamp_ns: int, slop_ns: int) -> list[int]:
    """The same with integers."""
    near = [(abs(stamp - stamp_ns), stamp) for stamp in stamps if abs(stamp - stamp_ns) <= slop_ns]
    return [stamp for _, stamp in sorted(near)]


class ApproximateTime:
    """What message_filters.ApproximateTimeSynchronizer does, from what its source does."""

    def __init__(
        self, topics: tuple[str, ...], queue_size: int, slop_ns: int, callback: Callable[..., None], near: Near
    ) -> None:
        self._near = near
        self._queues: dict[str, dict[int, Sample]] = {topic: {} for topic in topics}
        self._queue_size = queue_size
        self._slop_ns = slop_ns
        self._callback = callback
        self._lock = threading.Lock()

    def add(self, topic: str, message: Sample) -> None:
        with self._lock:
            queue = self._queues[topic]
            queue[message.stamp_ns] = message
            while len(queue) > self._queue_size:
                del queue[min(queue)]
            self._match(topic, message.stamp_ns)

    def _match(self, topic: str, stamp_ns: int) -> None:
        candidates = []
        for other, queue in self._queues.items():
            if other == topic:
                candidates.append([stamp_ns])
                continue
            near = self._near(queue, stamp_ns, self._slop_ns)
            if not near:
                return
            candidates.append(near)
        for stamps in itertools.product(*candidates):
            if max(stamps) - min(stamps) < self._slop_ns:
                self._callback(*(queue[stamp] for queue, stamp in zip(self._queues.values(), stamps, strict=True)))
                for queue, stamp in zip(self._queues.values(), stamps, strict=True):
                    del queue[stamp]
                return


def traffic(seconds: float, seed: int) -> list[Arrival]:
    """What arrives: cameras 30 ms after the stamp and 3 ms of jitter, joints after 1 ms."""
    random = np.random.default_rng(seed)
    image = np.zeros((4, 4, 3), np.uint8)
    arrivals = []
    for number, role in enumerate(CAMERAS):
        for k in range(int(seconds * 30)):
            stamp_ns = START_NS + k * 1_000_000_000 // 30 + number * 5 * MS + round(random.uniform(0, MS))
            came_ns = stamp_ns + 30 * MS + round(random.uniform(0, 3 * MS))
            arrivals.append((role, Sample(stamp_ns, came_ns, image)))
    for k in range(int(seconds * 500)):
        stamp_ns = START_NS + k * 2 * MS
        came_ns = stamp_ns + MS + round(random.uniform(0, MS))
        arrivals.append((JOINTS, Sample(stamp_ns, came_ns, random.normal(size=21))))
    return sorted(arrivals, key=lambda arrival: arrival[1].receive_ns)


def robot(fr3: Embodiment) -> Embodiment:
    """Three cameras and joints, matched within the same time as the synchronizer's slop."""
    clock = dataclasses.replace(fr3.cameras["scene"], align=Align("nearest", 1))
    other = dataclasses.replace(clock, align=Align("nearest", SLOP_NS / MS))
    joints = dataclasses.replace(fr3.streams[JOINTS], rate_hz=500, align=Align("interpolate", SLOP_NS / MS))
    cameras = {"scene": clock, "wrist": other, "side": other}
    return dataclasses.replace(fr3, cameras=cameras, streams={JOINTS: joints}, steps=Steps("scene", 30))


def align(embodiment: Embodiment, arrivals: list[Arrival]) -> tuple[float, int]:
    """Plays the messages into the aligner as recorder_node does. Returns the CPU time [s] and the number of whole steps."""
    aligner = Aligner(embodiment, (*CAMERAS, JOINTS))
    steps: list[Step] = []
    tick_ns = START_NS
    began = time.process_time()
    for name, sample in arrivals:
        while sample.receive_ns > tick_ns:
            steps += aligner.pop(tick_ns)
            tick_ns += TICK_NS
        aligner.push(name, sample)
    steps += aligner.flush()
    seconds = time.process_time() - began
    return seconds, sum(not aligner.missing(step) for step in steps)


def synchronize(arrivals: list[Arrival], near: Near) -> tuple[float, int]:
    """Plays the messages into the synchronizer. Returns the CPU time [s] and the number of sets."""
    sets: list[tuple[Any, ...]] = []
    synchronizer = ApproximateTime((*CAMERAS, JOINTS), QUEUE, SLOP_NS, lambda *found: sets.append(found), near)
    began = time.process_time()
    for name, sample in arrivals:
        synchronizer.add(name, sample)
    return time.process_time() - began, len(sets)


@app.command()
def main(
    seconds: Annotated[float, typer.Option(help="Length of the streams [s].")] = 20.0,
    repetitions: Annotated[int, typer.Option(min=5, help="How often each side runs.")] = 9,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    """CPU of our alignment as a share of ApproximateTime's (at most 0.2)."""
    from vla.paths import checkout

    embodiment = robot(load_embodiment(checkout() / "config" / "embodiments" / "fr3.yaml"))
    ours, theirs, integers = [], [], []
    gc.disable()
    for repetition in range(repetitions):
        arrivals = traffic(seconds, seed=repetition)
        gc.collect()
        cpu_s, steps = align(embodiment, arrivals)
        ours.append(cpu_s)
        cpu_s, sets = synchronize(arrivals, near_as_in_ros)
        theirs.append(cpu_s)
        integers.append(synchronize(arrivals, near_with_integers)[0])
    gc.enable()
    publish(
        {
            "ratio": median_ratio(ours, theirs),
            "ratio_integers": median_ratio(ours, integers),
            "aligner_us_per_s": statistics.median(ours) / seconds * 1e6,
            "approximate_time_us_per_s": statistics.median(theirs) / seconds * 1e6,
            "integers_us_per_s": statistics.median(integers) / seconds * 1e6,
            "steps": steps,
            "sets": sets,
            "messages": len(arrivals),
            "repetitions": repetitions,
            "machine": machine(),
        },
        json_file,
    )
