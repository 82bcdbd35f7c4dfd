"""Commands are applied at the cycle in which a robot would have got them."""

from __future__ import annotations

from vla_sim.ros.command_queue import CommandQueue

MS = 1_000_000


def test_commands_wait_for_their_time_and_keep_their_order() -> None:
    queue, applied = CommandQueue(), []
    for receive_ms in (3, 3, 7):
        queue.put(receive_ms * MS, lambda at=receive_ms: applied.append(at))
    assert queue.next_ns() == 3 * MS
    queue.apply_due(2 * MS)
    assert applied == []
    queue.apply_due(3 * MS)
    assert applied == [3, 3]
    assert queue.next_ns() == 7 * MS
    queue.apply_due(100 * MS)  # what came while the simulation was busy is not lost
    assert applied == [3, 3, 7]
    assert queue.next_ns() is None


def test_a_reset_forgets_what_waits() -> None:
    queue, applied = CommandQueue(), []
    queue.put(MS, lambda: applied.append(1))
    queue.clear()
    queue.apply_due(MS)
    assert applied == []
