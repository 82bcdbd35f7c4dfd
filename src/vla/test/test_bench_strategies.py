"""The table of strategies under delay: what it shows of figures, and what it concludes."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.strategies import behind, chosen, delays_of, require_same, row_of, table, verdict

from vla.statistics import wilson_interval
from vla_core.errors import ConfigError


def row(strategy: str, delay_ms: float, successes: int, worlds: int = 20) -> dict[str, object]:
    measured = {
        "successes": successes,
        "episodes": worlds,
        "success_rate": successes / worlds,
        "mean_duration_s": 5.0,
        "rms_jerk": 20.0,
        "limit_violations": {"position": 0, "jerk": 2},
        "chunks": 100,
        "chunks_refused": 1,
        "chunks_discarded": 2,
        "chunks_late": 3,
        "ticks_starved": 4,
        "per_episode": [
            {"success": index < successes, "message": "" if index < successes else "no usable action"}
            for index in range(worlds)
        ],
    }
    return row_of(strategy, delay_ms, measured)


def test_a_row_has_the_interval_and_what_went_wrong() -> None:
    found = row("average", 100.0, 15)
    assert found["wilson"] == pytest.approx(wilson_interval(15, 20))
    assert (found["limit_violations"], found["stopped"], found["chunks_refused"]) == (2, 5, 1)


def test_the_table_has_strategies_down_and_delays_across() -> None:
    shown = table([row("average", 0.0, 15), row("real_time_chunking", 0.0, 20), row("average", 200.0, 3)])
    assert shown.splitlines() == [
        "| strategy | 0 ms | 200 ms |",
        "|---|---|---|",
        "| average | 15 of 20 (53 to 89 %) | 3 of 20 (5 to 36 %) |",
        "| real_time_chunking | 20 of 20 (84 to 100 %) |  |",
    ]


def test_where_real_time_chunking_is_behind_is_said_with_what_that_is_worth() -> None:
    rows = [row("average", 0.0, 15), row("real_time_chunking", 0.0, 13), row("real_time_chunking", 100.0, 14)]
    (found,) = behind(rows)
    assert (found["strategy"], found["successes"], found["only_ours"], found["only_theirs"]) == (
        "average",
        [13, 15],
        0,
        2,
    )
    assert found["p_value"] == pytest.approx(0.5)
    assert (
        "- 0 ms: average 15, real-time chunking 13 of 20; worlds in which only the former succeeded: 2, only the"
        in verdict(rows)
    )
    assert "at least as many" in verdict(rows[1:])
    assert verdict(rows[:1]) == ""


def test_strategies_and_delays_are_checked_before_anything_is_run() -> None:
    assert chosen(["average"], "fake") == ["average"]
    assert "real_time_chunking" in chosen([], "fake")
    with pytest.raises(ConfigError, match=r"--strategy: expected 'receding_horizon', .*, found 'guessing'"):
        chosen(["guessing"], "fake")
    assert delays_of("0,100.5") == [0.0, 100.5]
    for wrong in ("", "fast", "-1", "100,,200"):
        with pytest.raises(ConfigError, match="--delays: expected milliseconds"):
            delays_of(wrong)


def test_figures_that_an_earlier_run_left_of_another_policy_are_refused() -> None:
    measured = {"policy": "/old", "task": "pick_place"}
    require_same(Path("a.json"), measured, policy="/old", task="pick_place")
    with pytest.raises(
        ConfigError, match=r"--out: a.json: expected figures of the policy /new, found /old; name another"
    ):
        require_same(Path("a.json"), measured, policy="/new", task="pick_place")


def test_a_policy_that_cannot_go_on_from_chunks_is_measured_without() -> None:
    from vla.paths import shipped_policy

    assert "real_time_chunking" not in chosen([], str(shipped_policy("pick_place")))
