"""The episodes that a recorder_node recorded while a bag was recorded, as its status in the bag tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vla_recorder.bags.reader import BagReader

_STATUS = "vla_msgs/msg/RecorderStatus"
_NEVER_NS = 2**63 - 1


@dataclass(frozen=True)
class Cut:
    """Which steps make an episode.

    Attributes:
        first_ns: stamp of the first step at the earliest [ns].
        last_ns: stamp of the last step at the latest [ns].
        from_ns: when it is decided at the earliest: when the episode was started [ns].
        until_ns: when it is decided at the latest: when the episode was stopped [ns].
        prompts: its language instructions, and when its steps began to have them [ns]; empty: unknown.
        outcome: what became of it; empty: unknown.
    """

    first_ns: int = 0
    last_ns: int = _NEVER_NS
    from_ns: int = 0
    until_ns: int = _NEVER_NS
    prompts: tuple[tuple[int, str], ...] = ()
    outcome: str = ""

    def holds(self, stamp_ns: int, decided_ns: int) -> bool:
        """Whether a step belongs to it."""
        return self.first_ns <= stamp_ns <= self.last_ns and self.from_ns <= decided_ns <= self.until_ns

    def is_before(self, stamp_ns: int, decided_ns: int) -> bool:
        """Whether it is over before a step."""
        return stamp_ns > self.last_ns or decided_ns > self.until_ns


def recorded_episodes(bag: BagReader) -> list[Cut]:
    """The episodes that were recorded and kept, in order; none if no recorder_node's status is in the bag.

    An episode was kept if it was seen being finished, or counted; one that was recorded again takes the place of the first.
    """
    topics = [topic.name for topic in bag.topics.values() if topic.type == _STATUS and topic.count]
    kept: dict[str, Cut] = {}
    running: _Running | None = None
    for message in bag.messages(topics[:1]) if topics else ():
        status = message.value
        if running is not None and running.is_over(status, message.receive_ns):
            if running.is_kept(status):
                kept.pop(running.path, None)
                kept[running.path] = running.cut()
            running = None
        if running is None and status.state == status.RECORDING:
            running = _Running(status, message.receive_ns)
    if running is not None:
        kept[running.path] = running.cut()
    return list(kept.values())


class _Running:
    """An episode while the statuses of its recorder are read."""

    def __init__(self, status: Any, receive_ns: int) -> None:
        self.path = str(status.episode_path)
        self._from_ns = receive_ns
        self._until_ns = _NEVER_NS
        self._prompts = [(receive_ns, str(status.prompt))]
        self._newest = status
        self._finishing = False

    def is_over(self, status: Any, receive_ns: int) -> bool:
        """Takes note of a status. Returns whether the episode has become a file by then, or nothing."""
        recording = status.state == status.RECORDING and str(status.episode_path) == self.path
        if recording and self._until_ns == _NEVER_NS:
            self._newest = status
            if str(status.prompt) != self._prompts[-1][1]:
                self._prompts.append((receive_ns, str(status.prompt)))
            return False
        self._until_ns = min(self._until_ns, receive_ns)
        self._finishing = self._finishing or status.state == status.FINISHING
        return bool(status.state != status.FINISHING)

    def is_kept(self, status: Any) -> bool:
        return self._finishing or status.episodes > self._newest.episodes

    def cut(self) -> Cut:
        outcome = str(self._newest.outcome)
        prompts = tuple((time_ns, text) for time_ns, text in self._prompts if text)
        return Cut(from_ns=self._from_ns, until_ns=self._until_ns, prompts=prompts, outcome=outcome)
