"""Language instructions in a bag."""

from __future__ import annotations

from bisect import bisect_right

from vla_recorder.bags.reader import BagError, BagReader

_TEXT = "std_msgs/msg/String"
_USUAL = ("/prompt", "/recorder/prompt", "/policy/prompt", "/task", "/instruction")


class Prompts:
    """Which instruction held when.

    Args:
        bag: with a topic of instructions, or without.
        first: the instruction until one of the bag holds.
        topic: its name; empty: the first of the usual ones that is in the bag.

    Raises:
        BagError: there is no such topic, or it has no texts.
    """

    def __init__(self, bag: BagReader, first: str = "", topic: str = "") -> None:
        self._first = first
        self._times: list[int] = []
        self._texts: list[str] = []
        topic = topic or next((name for name in _USUAL if name in bag.topics and bag.topics[name].type == _TEXT), "")
        if not topic:
            return
        bag.require(topic)
        if bag.topics[topic].type != _TEXT:
            raise BagError(f"{bag.path}: {topic}: expected {_TEXT} for prompts, found {bag.topics[topic].type}")
        for message in bag.messages([topic]):
            self._times.append(message.receive_ns)
            self._texts.append(str(message.value.data).strip())

    def at(self, time_ns: int) -> str:
        """The newest instruction received until then; before the first of them the one that was given, else that first one."""
        index = bisect_right(self._times, time_ns)
        return self._texts[index - 1] if index else self._first or next(iter(self._texts), "")
