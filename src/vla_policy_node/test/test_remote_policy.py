"""A policy on another machine: openpi's and GR00T's servers, as published, well and in every kind of trouble."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from foreign_servers import GrootServer, OpenpiServer, modality, openpi_pack

from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.embodiment import load_embodiment
from vla_core.errors import ConfigError, PeerError, PeerLost
from vla_core.steps import blank_observation
from vla_policy_node.remote import RemotePolicy, remote_policy
from vla_policy_node.remote import policy as policy_module
from vla_policy_node.remote.link import LONGEST_PAUSE_S, Backoff

FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3_sim.yaml")
JOINTS = list(FR3.joint_names)
OPENPI = {
    "schema": "vla/remote/1",
    "rate_hz": 15,
    "images": {"observation/exterior_image_1_left": "scene", "observation/wrist_image_left": "wrist"},
    "states": {"observation/joint_position": {"names": JOINTS}},
    "prompt": "prompt",
    "actions": [{"names": JOINTS}, {"names": ["gripper"], "first": 7, "open": 0.0, "closed": 1.0}],
}
GROOT = {
    "schema": "vla/remote/1",
    "rate_hz": 20,
    "images": {"video.ego": "scene"},
    "states": {"state.arm": {"names": JOINTS}},
    "prompt": "language.task",
    "actions": [{"names": JOINTS, "key": "arm"}, {"names": ["gripper"], "key": "hand"}],
}
MODALITIES = {
    "video": modality("ego"),
    "state": modality("arm"),
    "action": modality("arm", "hand", delta_indices=tuple(range(16))),
    "language": modality("task"),
}
CHUNK = np.arange(80, dtype=np.float32).reshape(10, 8) * 1e-2
LONG_S = 60.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not there when a test looks for him will not come."""
    monkeypatch.setattr(policy_module, "APPEARS_S", 0.0)


@pytest.fixture
def openpi_file(tmp_path: Path) -> Path:
    (tmp_path / "openpi.yaml").write_text(yaml.safe_dump(OPENPI))
    return tmp_path / "openpi.yaml"


@pytest.fixture
def groot_file(tmp_path: Path) -> Path:
    (tmp_path / "groot.yaml").write_text(yaml.safe_dump(GROOT))
    return tmp_path / "groot.yaml"


@pytest.fixture
def openpi() -> Iterator[OpenpiServer]:
    with OpenpiServer(lambda request: {"actions": CHUNK}) as server:
        yield server


@pytest.fixture
def groot() -> Iterator[GrootServer]:
    def answer(observation: Any) -> Any:
        arm = np.tile(observation["state"]["arm"][:, 0][:, None], (1, 16, 1)) + np.float32(0.1)
        return [{"arm": arm, "hand": np.full((1, 16, 1), 0.04, np.float32)}, {}]

    with GrootServer(answer, MODALITIES) as server:
        yield server


def connected(server: OpenpiServer | GrootServer, mapping: Path, more: str = "deadline_ms=20000") -> RemotePolicy:
    scheme = "ws" if isinstance(server, OpenpiServer) else "zmq"
    return remote_policy(f"{scheme}://127.0.0.1:{server.port}?mapping={mapping}&{more}", FR3)


def inferred(policy: RemotePolicy, stamp_ns: int = 5) -> ActionChunk:
    observation = blank_observation(FR3, "lift it")
    object.__setattr__(observation, "stamp_ns", stamp_ns)
    return policy.infer(observation)


def again(policy: RemotePolicy) -> ActionChunk:
    """Infers, as often as it is told that the server is gone."""
    until_s = time.monotonic() + LONG_S
    while True:
        try:
            return inferred(policy)
        except PeerLost:
            assert time.monotonic() < until_s
            time.sleep(0.01)


# -- openpi ----------------------------------------------------------------------------------------------------------------


def test_openpis_server_is_sent_what_it_knows_and_answers_a_chunk(openpi: OpenpiServer, openpi_file: Path) -> None:
    policy = connected(openpi, openpi_file)
    assert (policy.policy_id, policy.real_time_chunking) == (f"ws://127.0.0.1:{openpi.port}", None)
    assert policy.warm_up() >= 0.0
    chunk = inferred(policy, stamp_ns=123)
    sent = openpi.requests[-1]
    assert set(sent) == {*OPENPI["images"], *OPENPI["states"], "prompt"}  # type: ignore[misc]
    assert sent["prompt"] == "lift it"
    assert sent["observation/wrist_image_left"].shape == (96, 128, 3)
    assert sent["observation/joint_position"].shape == (7,)
    np.testing.assert_allclose(chunk.actions[:, :7], CHUNK[:, :7])
    np.testing.assert_allclose(chunk.actions[:, 7], 0.04 * (1 - CHUNK[:, 7]), rtol=1e-6)
    assert (chunk.start_ns, chunk.observation_ns, chunk.step_ns) == (123, 123, 66_666_667)
    assert [inferred(policy).sequence for _ in range(2)] == [1, 2]


def test_a_prefix_is_refused_where_the_protocol_knows_none(openpi: OpenpiServer, openpi_file: Path) -> None:
    policy = connected(openpi, openpi_file)
    prefix = ActionPrefix(inferred(policy), 1, 1)
    with pytest.raises(PeerError, match="knows no chunk to go on from"):
        policy.infer(blank_observation(FR3), prefix)


def test_a_server_that_does_not_say_what_it_means_needs_a_mapping(openpi: OpenpiServer) -> None:
    with pytest.raises(ConfigError, match=r"does not say what its actions mean; expected a mapping"):
        remote_policy(f"ws://127.0.0.1:{openpi.port}", FR3)


def test_an_error_of_the_servers_is_told_in_one_line(openpi: OpenpiServer, openpi_file: Path) -> None:
    def fail(request: Any) -> Any:
        raise KeyError("observation/state\x1b[31m")

    policy = connected(openpi, openpi_file)
    openpi.answer = fail
    with pytest.raises(PeerError, match=r"reports an error: KeyError: 'observation/state\\x1b\[31m'$"):
        inferred(policy)
    openpi.answer = lambda request: {"actions": CHUNK}
    assert len(again(policy).actions) == 10


@pytest.mark.parametrize("answer", [b"\xc1", b"\xdd\xff\xff\xff\xff", openpi_pack([1]), openpi_pack({"action": CHUNK})])
def test_an_answer_that_cannot_be_used_is_no_lost_server(
    openpi: OpenpiServer, openpi_file: Path, answer: bytes
) -> None:
    policy = connected(openpi, openpi_file)
    openpi.answer = lambda request: answer
    with pytest.raises(PeerError):
        inferred(policy)


def test_an_answer_that_is_too_long_is_not_read(
    openpi: OpenpiServer, openpi_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vla_policy_node.remote.openpi_link.MAX_ANSWER_BYTES", 1000)
    policy = connected(openpi, openpi_file)
    openpi.answer = lambda request: bytes(1001)
    with pytest.raises(PeerLost, match="1009"):
        inferred(policy)


@pytest.mark.parametrize("metadata", [b"\xc1", "no", openpi_pack([1]), {"vla": {"schema": "vla/remote/2"}}, {"vla": 3}])
def test_a_server_that_introduces_itself_wrongly_is_refused(
    openpi: OpenpiServer, openpi_file: Path, metadata: Any
) -> None:
    openpi.metadata = metadata
    with pytest.raises(PeerError):
        connected(openpi, openpi_file)


@pytest.mark.parametrize(
    ("more", "complaint"), [("", "wants a token, and none is given"), ("wrong", "not the server's")]
)
def test_a_token_is_presented(openpi_file: Path, tmp_path: Path, more: str, complaint: str) -> None:
    (tmp_path / "right").write_text("s3cret")
    (tmp_path / "wrong").write_text("other")
    with OpenpiServer(lambda request: {"actions": CHUNK}, token="s3cret") as server:
        policy = connected(server, openpi_file, f"deadline_ms=20000&token_file={tmp_path / 'right'}")
        assert len(inferred(policy).actions) == 10
        with pytest.raises(PeerError, match=complaint) as refusal:
            connected(server, openpi_file, f"token_file={tmp_path / more}" if more else "")
        assert "s3cret" not in str(refusal.value)
        assert "other" not in str(refusal.value)


# -- GR00T -----------------------------------------------------------------------------------------------------------------


def test_groots_server_is_sent_what_it_knows_and_answers_a_chunk(groot: GrootServer, groot_file: Path) -> None:
    policy = connected(groot, groot_file)
    policy.warm_up()
    policy.reset()
    observation = blank_observation(FR3, "lift it")
    observation.proprioception["qpos"][:7] = np.arange(7)
    chunk = policy.infer(observation)
    inferred(policy)
    assert groot.calls == ["get_modality_config", "reset", "get_action", "reset", "get_action", "get_action"]
    sent = groot.observations[-2]
    assert {name: set(values) for name, values in sent.items()} == {
        "video": {"ego"},
        "state": {"arm"},
        "language": {"task"},
    }
    assert (sent["video"]["ego"].shape, sent["video"]["ego"].dtype) == ((1, 1, 96, 128, 3), np.uint8)
    assert (sent["state"]["arm"].shape, sent["state"]["arm"].dtype) == ((1, 1, 7), np.float32)
    assert sent["language"]["task"] == [["lift it"]]
    np.testing.assert_allclose(chunk.actions, np.tile([*(np.arange(7) + 0.1), 0.04], (16, 1)), rtol=1e-6)
    assert (chunk.step_ns, policy.real_time_chunking) == (50_000_000, None)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        [1, 2],
        [{"arm": 3}, {}],
        [{"arm": np.zeros((2, 16, 7)), "hand": np.zeros((2, 16, 1))}, {}],
        b"\xc1",
        b"ERROR",
    ],
)
def test_what_is_no_answer_of_groots_is_refused(groot: GrootServer, groot_file: Path, answer: Any) -> None:
    policy = connected(groot, groot_file)
    groot.answer = lambda observation: answer
    with pytest.raises(PeerError):
        inferred(policy)


def test_an_error_of_groots_is_told(groot: GrootServer, groot_file: Path) -> None:
    policy = connected(groot, groot_file)
    groot.answer = lambda observation: {"error": "State key 'legs' must be in observation"}
    with pytest.raises(PeerError, match="reports an error: State key 'legs' must be in observation"):
        inferred(policy)


def test_groots_token_is_presented(groot: GrootServer, groot_file: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    groot.token = "s3cret"
    with pytest.raises(PeerError, match="Unauthorized"):
        connected(groot, groot_file)
    policy = connected(groot, groot_file, f"deadline_ms=20000&token_file={tmp_path / 'token'}")
    assert len(inferred(policy).actions) == 16


def test_a_groot_that_sees_several_steps_is_refused(groot: GrootServer, groot_file: Path) -> None:
    groot.modalities = {**MODALITIES, "video": modality("ego", delta_indices=(-1, 0))}
    with pytest.raises(PeerError, match=r"video: expected a policy that sees one step, found \[-1, 0\]"):
        connected(groot, groot_file)


def test_names_that_groot_cannot_have_are_refused(groot: GrootServer, tmp_path: Path) -> None:
    (tmp_path / "flat.yaml").write_text(yaml.safe_dump({**GROOT, "images": {"ego": "scene"}}))
    policy = connected(groot, tmp_path / "flat.yaml")
    with pytest.raises(PeerError, match=r"expected video.NAME, state.NAME or language.NAME, found 'ego'"):
        policy.warm_up()


# -- lost and back ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["openpi", "groot"])
def test_a_server_that_does_not_answer_is_lost_at_the_deadline_and_its_late_answer_is_not_taken_for_the_next(
    kind: str, request: pytest.FixtureRequest
) -> None:
    server, mapping = request.getfixturevalue(kind), request.getfixturevalue(f"{kind}_file")
    policy = connected(server, mapping, "deadline_ms=300")
    assert inferred(policy).sequence == 0
    well = server.answer
    server.answer = lambda _: None
    with pytest.raises(PeerLost, match=r"within .* ms, found none"):
        inferred(policy)
    with pytest.raises(PeerLost):
        inferred(policy)
    if kind == "groot":  # a REP socket that hangs must be ended
        server.stop()
        server.start()
    server.answer = well
    assert again(policy).sequence == 1


@pytest.mark.parametrize("kind", ["openpi", "groot"])
def test_a_server_that_was_started_again_is_found_again(kind: str, request: pytest.FixtureRequest) -> None:
    server, mapping = request.getfixturevalue(kind), request.getfixturevalue(f"{kind}_file")
    policy = connected(server, mapping, "deadline_ms=1000")
    inferred(policy)
    server.stop()
    with pytest.raises(PeerLost):
        inferred(policy)
    with pytest.raises(PeerLost):
        inferred(policy)
    server.start()
    assert again(policy).sequence == 1


@pytest.mark.parametrize(("scheme", "complaint"), [("ws", "cannot be reached|found none"), ("zmq", "found none")])
def test_nobody_there_is_one_clear_error(openpi_file: Path, groot_file: Path, scheme: str, complaint: str) -> None:
    with OpenpiServer(lambda request: None) as server:
        port = server.port
    mapping = openpi_file if scheme == "ws" else groot_file
    with pytest.raises(PeerLost, match=complaint):
        remote_policy(f"{scheme}://127.0.0.1:{port}?mapping={mapping}", FR3)


def test_another_robots_server_at_the_same_place_is_not_taken_for_the_one_before(
    openpi: OpenpiServer, openpi_file: Path
) -> None:
    policy = connected(openpi, openpi_file)
    inferred(policy)
    openpi.stop()
    with pytest.raises(PeerLost):
        inferred(policy)
    openpi.metadata = {"vla": {"schema": "vla/remote/1"}}
    openpi.start()
    with pytest.raises(PeerError, match="says of itself"):
        again(policy)


def test_pauses_between_attempts_double_up_to_a_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    backoff = Backoff()
    pauses = []
    for _ in range(7):
        backoff.failed()
        pauses.append(round(backoff.remaining_s(), 6))
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    now_s += LONGEST_PAUSE_S
    assert backoff.remaining_s() == 0.0
    backoff.succeeded()
    backoff.failed()
    assert backoff.remaining_s() == pytest.approx(0.1)


def test_the_robots_computer_needs_neither_torch_nor_ros_for_it() -> None:
    modules = ("address", "groot_link", "openpi_link", "policy", "server")
    imports = "; ".join(f"import vla_policy_node.remote.{name}" for name in modules)
    code = f"{imports}; import sys; sys.exit(bool({{'torch', 'rclpy'}} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
