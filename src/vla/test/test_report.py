"""The report: one HTML file that holds the figures and needs nothing else."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from vla.figures import statements
from vla.report import About, Replay, Report, ReportedEpisode, render, write_report
from vla.report.command_plots import state_legend
from vla.report.ledger import ledger_figures
from vla.report.limits import joint_figures
from vla.report.motion import motion_of
from vla.report.page import ReportFailed
from vla.report.streams import stream_figures
from vla.report.strips import frames_of
from vla.report.timeline import Span, spans_of
from vla_core.action_chunk import ActionChunk
from vla_core.chunk_times import STAGES, TOTAL, ChunkTimes
from vla_core.embodiment import JointLimits
from vla_core.episodes import CommandState, EpisodeReader
from vla_core.episodes.synthetic import START_NS
from vla_core.errors import EmbodimentMismatch, EpisodeError
from vla_core.motion.measure import CommandMeter

ABOUT = About(
    title="Demo: pick_place in simulation",
    robot="simulated FR3",
    policy="checkpoints/pick_place",
    policy_id="act/7f",
    task="pick_place",
    prompt="put <it> & there",
    seed=7,
    when="1 January 2026, 12:00",
    machine="two cores",
    versions={"vla": "0.1.0"},
)
VOID = {"meta", "link", "img", "br", "hr", "input"}
SELF_CLOSING = {"path", "use", "rect", "circle", "line"}


class Page(HTMLParser):
    """A page's elements, its text, and what is wrong with its structure."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.problems: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.problems += [f"<{tag}> is not closed" for tag in self._open]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def passed(number: int, observation_ms: float = 10.0) -> ChunkTimes:
    """A chunk that was inferred in 40 ms from an observation that took so long to come."""
    at_ms = [0.0, observation_ms, *(observation_ms + ms for ms in (0.0, 40.0, 40.0, 42.0, 45.0, 85.0))]
    return ChunkTimes("act/7f", number, *(START_NS + round(ms * 1e6) for ms in at_ms))


def commanded() -> list[ChunkTimes | CommandState]:
    """What a recorder notes beside a rollout of 0.37 s that a person takes over and that ends badly."""
    states = [
        CommandState(START_NS - 50_000_000, "armed"),
        CommandState(START_NS + 100_000_000, "running"),
        CommandState(START_NS + 200_000_000, "running", intervention=True),
        CommandState(START_NS + 250_000_000, "fault", "starved <of> chunks"),
    ]
    return [passed(0), passed(1), passed(2, 20.0), *states]


@pytest.fixture
def report(figures, make_episode, make_trace, embodiment) -> Report:
    """A report of everything: a demonstration, three rollouts, chunks, a replay and a video."""
    demonstration, *rollouts = (make_episode(beside=commanded()) for _ in range(4))
    trace = make_trace(np.full(7, 0.05))
    chunk = ActionChunk(np.ones((30, 8)), embodiment.action_names, START_NS, embodiment.step_ns, START_NS)
    figures |= {
        "streams": stream_figures([demonstration, *rollouts]),
        "joints": joint_figures([trace], embodiment),
        "latency_ledger": ledger_figures(rollouts),
        "demonstrations": [{"steps": 12, "duration_s": 4.0}],
        "replay": {"rms_rad": 0.00123, "max_rad": 0.00456, "success": True},
        "inference_interval_ms": 266.7,
        "simulated_latency_ms": 40.0,
    }
    return Report(
        about=ABOUT,
        figures=figures,
        demonstrations=(ReportedEpisode("demonstration", 1, 3, True, 4.0, demonstration),),
        rollouts=tuple(
            ReportedEpisode(
                "rollout", number, one["seed"], one["success"], one["duration_s"], path, trace, one["message"]
            )
            for number, (one, path) in enumerate(zip(figures["per_episode"], rollouts, strict=True), start=1)
        ),
        chunks=(chunk,),
        replay=Replay("demonstration 1", embodiment.joint_names, np.arange(5.0), np.full((5, 7), 1e-3)),
        video=Path("somewhere/video.mp4"),
    )


@pytest.fixture
def text(report) -> str:
    return render(report, Path("somewhere"))


def words(text: str) -> str:
    return " ".join(text.split())


def test_every_figure_is_in_the_page_with_how_it_was_measured(report, text):
    shown = words(Page(text).text)
    for one in statements(report.figures):
        assert one.value in shown
        assert one.measured in shown
    assert "67%" in shown
    assert "interval 21 % to 94 %" in shown


def test_what_command_node_did_is_in_the_page(report, text):
    shown = words(Page(text).text)
    assert "rollout 1 fault after 0.2 s: starved <of> chunks" in shown
    for state in ("armed", "running", "fault", "a person has the arm"):
        assert f" {state} " in shown
    assert "ready" not in [name for name, _ in state_legend(spans_of_first(report))]


def spans_of_first(report) -> list[Span]:
    with EpisodeReader(report.rollouts[0].path) as episode:
        return list(spans_of(episode))


def test_states_are_cut_to_the_episode(make_episode):
    with EpisodeReader(make_episode(beside=commanded())) as episode:
        spans = spans_of(episode)
        end_s = float(episode.stamps_ns[-1] - episode.stamps_ns[0]) * 1e-9
    assert [(span.state, span.intervention) for span in spans] == [
        ("armed", False),
        ("running", False),
        ("running", True),
        ("fault", False),
    ]
    assert [span.begin_s for span in spans] == pytest.approx([0.0, 0.1, 0.2, 0.25])
    assert [span.end_s for span in spans] == pytest.approx([0.1, 0.2, 0.25, end_s])


def test_an_episode_of_which_nobody_told_has_no_timeline(make_episode):
    with EpisodeReader(make_episode()) as episode:
        assert spans_of(episode) == ()
    assert ledger_figures([make_episode()]) == {}


def test_where_the_time_of_chunks_went_is_measured_over_all_episodes(make_episode):
    found = ledger_figures([make_episode(beside=commanded()), make_episode(beside=[passed(3, 30.0)])])
    assert list(found) == [*STAGES, TOTAL]
    assert found["sensing"]["chunks"] == 4
    assert found["sensing"]["p50_ms"] == pytest.approx(15.0)
    assert found["sensing"]["max_ms"] == pytest.approx(30.0)
    assert found["inference"]["p50_ms"] == pytest.approx(40.0)
    assert found[TOTAL]["max_ms"] == pytest.approx(115.0)
    for figures in found.values():
        assert sum(figures["counts"]) == 4
        assert len(figures["edges_ms"]) == len(figures["counts"]) + 1


def test_stages_that_took_time_have_a_histogram(text):
    shown = words(Page(text).text)
    assert "over the 9 chunks that were executed" in shown
    assert "From exposure to command: 95 ms, 99 % of chunks within 105 ms" in shown
    for title in ("sensing: 10.0 ms, at most 20", "inference: 40.0 ms", "taking up: 3.0 ms", "lead: 40.0 ms"):
        assert title in shown
    for name in ("waiting:", "publishing:"):
        assert name not in shown


def test_what_was_run_is_in_the_page(text):
    shown = words(Page(text).text)
    for expected in (ABOUT.title, ABOUT.robot, ABOUT.policy_id, ABOUT.prompt, ABOUT.machine, ABOUT.when):
        assert expected in shown


def test_there_is_a_square_for_each_episode_in_order(text):
    squares = [one["class"] for one in Page(text).all("li") if one.get("class") in ("success", "failure")]
    assert squares == ["success", "failure", "success"]


def test_the_page_needs_nothing_but_itself_and_the_video(text):
    page = Page(text)
    assert not re.search(r"https?:|@import|@font-face|url\((?!#)", text)
    assert not page.all("script")
    assert not page.all("iframe")
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "data", "poster")
    ]
    outside = {address for address in addresses if not address.startswith(("data:", "#"))}
    assert outside == {"video.mp4"}


def test_the_page_is_well_formed(text):
    page = Page(text)
    assert page.problems == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
    assert {first or second for first, second in referred} <= set(ids)


def test_every_plot_is_xml_in_the_colours_of_the_page(text):
    plots = re.findall(r"<svg .*?</svg>", text, flags=re.DOTALL)
    # dimensions of the action, kinds of limits, latency, replay; the timeline, all stages, and those that took time
    assert len(plots) == 8 + 3 + 1 + 1 + 1 + 1 + 6
    for plot in plots:
        ElementTree.fromstring(plot.replace("<svg ", '<svg xmlns:xlink="x" ', 1))
        assert not re.search(r"#0?101|#0?102", plot)
    variables = set(re.findall(r"var\((--[\w-]+)\)", text))
    assert variables <= set(re.findall(r"(--[\w-]+):", text))


def test_text_from_outside_is_not_taken_for_html(text):
    assert "put &lt;it&gt; &amp; there" in text
    assert "starved &lt;of&gt; chunks" in text


def test_the_report_is_small(report, tmp_path):
    write_report(tmp_path / "a" / "report.html", report)
    assert 50_000 < (tmp_path / "a" / "report.html").stat().st_size < 5_000_000


def test_figures_alone_make_a_report_too(figures):
    page = Page(render(Report(ABOUT, figures), Path()))
    assert page.problems == []
    shown = words(page.text)
    assert "2 of 3, 66.7 %" in shown
    for absent in ("What the cameras saw", "Streams", "Replay", "Video", "Limits of the joints"):
        assert absent not in shown


def test_a_latency_that_was_not_measured_is_not_drawn(figures):
    figures["policy_latency_ms"] = {"p50": float("nan"), "p95": None, "p99": float("nan")}
    shown = words(Page(render(Report(ABOUT, figures), Path())).text)
    assert "p50 none, p95 none, p99 none" in shown
    assert "Inference latency" not in shown


def test_violations_are_marked(report):
    joints = report.figures["joints"]
    joints["fr3_joint3"]["violations"]["jerk"] = 4
    report.figures["limit_violations"]["jerk"] = 4
    text = render(report, Path())
    assert re.search(r'<td class="number breach">4</td>', text)
    assert re.search(r'<li class="breach"><b>4</b>', text)


def test_a_report_that_cannot_be_written_is_one_error(report, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ReportFailed, match="cannot be written"):
        write_report(tmp_path / "file" / "report.html", report)


# -- what it is made from ----------------------------------------------------------------------------------------------


def test_frames_are_spread_from_the_first_step_to_the_last(make_episode, with_end_steps):
    with EpisodeReader(make_episode(steps=31, robot=with_end_steps)) as episode:
        frames = frames_of(episode, 4)
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 1 / 3, 2 / 3, 1.0])
    assert all(len(frame.pictures) == 2 for frame in frames)
    assert len({picture for frame in frames for picture in frame.pictures}) == 8


def test_a_short_episode_has_as_many_frames_as_steps(make_episode):
    with EpisodeReader(make_episode(steps=3)) as episode:
        assert len(frames_of(episode, 8)) == 3


def test_rates_are_messages_per_time_that_the_steps_stand_for(make_episode, with_end_steps):
    paths = [make_episode(30, robot=with_end_steps, received={"scene": 30, "joints": 990}) for _ in range(2)]
    found = stream_figures(paths)
    assert found["scene"]["rate_hz"] == pytest.approx(30.0)
    assert found["joints"]["rate_hz"] == pytest.approx(990.0)
    assert found["joints"]["declared_hz"] == 1000.0
    assert found["wrist"]["rate_hz"] is None


def test_ages_are_those_of_the_steps_and_not_of_the_end_steps(make_episode, with_end_steps):
    found = stream_figures([make_episode(30, robot=with_end_steps)])
    ages_ms = {name: (one["age_ms"]["median"], one["age_ms"]["max"]) for name, one in found.items()}
    numbers = enumerate((*with_end_steps.cameras, *with_end_steps.streams))
    assert ages_ms == {name: (pytest.approx(number * 1e-3), pytest.approx(number * 1e-3)) for number, name in numbers}


def test_episodes_of_two_embodiments_are_not_mixed(make_episode, embodiment):
    other = dataclasses.replace(embodiment, name="another")
    with pytest.raises(EmbodimentMismatch, match="expected embodiment 'fr3_sim', found 'another'"):
        stream_figures([make_episode(), make_episode(robot=other)])


def test_joint_figures_agree_with_the_meter_of_the_simulator(make_trace, embodiment):
    traces = [make_trace(np.linspace(0.01, 0.2, 7), number=1), make_trace(np.linspace(0.3, 0.0, 7), number=2)]
    found = joint_figures(traces, embodiment)
    meters = []
    for path in traces:
        meters.append(CommandMeter(JointLimits.of(embodiment), 1e-3))
        with np.load(path) as arrays:
            meters[-1].add(arrays["command"])
    whole = meters[0].quality.merged(meters[1].quality)
    assert whole.acceleration > 0  # 0.3 rad at 1 Hz is beyond 10 rad/s^2
    for kind in ("velocity", "acceleration", "jerk"):
        assert max(one["use"][kind] for one in found.values()) == pytest.approx(getattr(whole, f"{kind}_use"))
        assert sum(one["violations"][kind] for one in found.values()) == getattr(whole, kind)
    assert found["fr3_joint1"]["use"]["velocity"] == pytest.approx(0.3 * 2 * np.pi / 2.62, rel=1e-3)


def test_a_trace_of_other_joints_is_refused(make_trace, embodiment):
    names = tuple(f"panda_joint{number}" for number in range(1, 8))
    with pytest.raises(EmbodimentMismatch, match=r"expected the joints \['fr3_joint1'.*found \['panda_joint1'"):
        joint_figures([make_trace(np.zeros(7), names)], embodiment)


@pytest.mark.parametrize("content", [None, b"", b"not an archive", "other arrays"])
def test_what_is_no_trace_is_refused(tmp_path, embodiment, content):
    path = tmp_path / "trace.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        np.savez(path, command=np.zeros((3, 7)))
    with pytest.raises(EpisodeError, match=r"trace.npz: expected a trace of the simulator"):
        joint_figures([path], embodiment)


def test_each_action_is_paired_with_what_measures_it(make_episode, embodiment):
    with EpisodeReader(make_episode(20)) as episode:
        dimensions = motion_of(episode)
        qpos, actions = episode.qpos, episode.actions
    assert [one.name for one in dimensions] == list(embodiment.action_names)
    assert [one.unit for one in dimensions] == ["rad"] * 7 + ["m"]
    for index, one in enumerate(dimensions):
        np.testing.assert_array_equal(one.commanded, actions[:, index])
        np.testing.assert_array_equal(one.measured, qpos[:, index])  # the eighth of qpos is the finger


def test_only_the_chunks_of_the_episode_are_shown_and_only_until_its_end(make_episode, embodiment):
    def chunk(start_step: int) -> ActionChunk:
        start_ns = START_NS + start_step * embodiment.step_ns
        return ActionChunk(
            np.full((30, 8), start_step), embodiment.action_names, start_ns, embodiment.step_ns, start_ns
        )

    with EpisodeReader(make_episode(20)) as episode:
        wanted = motion_of(episode, [chunk(-1), chunk(0), chunk(15), chunk(20)])[0].wanted
    assert [len(times_s) for times_s, _ in wanted] == [20, 5]
    assert [values[0] for _, values in wanted] == [0.0, 15.0]
    assert wanted[1][0][0] == pytest.approx(15 / 30, abs=1e-6)
