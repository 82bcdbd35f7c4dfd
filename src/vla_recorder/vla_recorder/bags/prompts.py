"""Language instructions in a bag."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from vla_recorder.bags.reader import BagError, BagReader

_TEXT = "std_msgs/msg/String"
_USUAL = ("/prompt", "/recorder/prompt", "/policy/prompt", "/task", "/instruction")


class Prompts:
    """Which instruction held when.

    Args:
        known: instructions and the times from which they hold [ns], oldest first.
        first: the instruction until then.
    """

    def __init__(self, known: Sequence[tuple[int, str]], first: str = "") -> None:
        self._first = first
        self._times = [time_ns for time_ns, _ in known]
        self._texts = [text for _, text in known]

    def at(self, time_ns: int) -> str:
        """The newest instruction then; before the first of them the one that was given, else that first one."""
        index = bisect_right(self._times, time_ns)
        return self._texts[index - 1] if index else self._first or next(iter(self._texts), "")


def prompts_in(bag: BagReader, first: str = "", topic: str = "") -> Prompts:
    """The instructions of a topic of a bag.

    Args:
        bag: with a topic of instructions, or without.
        first: the instruction until one of the bag holds.
        topic: its name; empty: the first of the usual ones that is in the bag.

    Raises:
        BagError: there is no such topic, or it has no texts.
    """
    topic = topic or next((name for name in _USUAL if name in bag.topics and bag.topics[name].type == _TEXT), "")
    if not topic:
        return Prompts((), first)
    bag.require(topic)
    if bag.topics[topic].type != _TEXT:
        raise BagError(f"{bag.path}: {topic}: expected {_TEXT} for prompts, found {bag.topics[topic].type}")
    return Prompts([(one.receive_ns, str(one.value.data).strip()) for one in bag.messages([topic])], first)
