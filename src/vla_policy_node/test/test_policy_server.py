"""Our server of policies: what it says, whom it admits, and that nobody who connects can end it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgpack
import numpy as np
import pytest
from foreign_servers import openpi_pack, openpi_unpack
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from vla_core import config
from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.errors import ConfigError, EmbodimentMismatch, PeerError, PeerLost
from vla_core.observation import Observation
from vla_core.steps import blank_observation
from vla_policy_node.fake import FakePolicy
from vla_policy_node.remote import policy as policy_module
from vla_policy_node.remote import remote_policy
from vla_policy_node.remote.server import PolicyServer

CONFIG = Path(__file__).parents[3] / "config" / "embodiments"
FR3 = load_embodiment(CONFIG / "fr3_sim.yaml")
TOKEN = "s3cret"


class Noting(FakePolicy):
    """Notes what it is asked, and does what the test says."""

    def __init__(self) -> None:
        super().__init__(FR3)
        self.seen: list[tuple[Observation, ActionPrefix | None]] = []
        self.resets = 0
        self.raises: Exception | None = None

    def infer(self, observation: Observation, prefix: ActionPrefix | None = None) -> ActionChunk:
        if self.raises:
            raise self.raises
        self.seen.append((observation, prefix))
        return super().infer(observation, prefix)

    def reset(self) -> None:
        self.resets += 1
        super().reset()


@contextmanager
def serving(policy: FakePolicy, token: str = "", max_clients: int = 4, embodiment: Embodiment = FR3) -> Iterator[int]:
    """The server in a thread; its port."""
    server = PolicyServer(policy, embodiment, token, max_clients)
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    bound: list[int] = []
    listening = threading.Event()

    def told(port: int) -> None:
        bound.append(port)
        listening.set()

    thread = threading.Thread(
        target=lambda: loop.run_until_complete(server.run("127.0.0.1", 0, told, stop)), daemon=True
    )
    thread.start()
    assert listening.wait(30.0)
    try:
        yield bound[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30.0)
        assert not thread.is_alive()
        loop.close()


@pytest.fixture
def policy() -> Noting:
    return Noting()


@pytest.fixture
def port(policy: Noting) -> Iterator[int]:
    with serving(policy) as port:
        yield port


@contextmanager
def client(port: int, token: str = "") -> Iterator[ClientConnection]:
    """openpi's client, as published, when the server has introduced itself."""
    headers = {"Authorization": f"Api-Key {token}"} if token else None
    address = f"ws://127.0.0.1:{port}"
    with connect(address, compression=None, max_size=None, additional_headers=headers, proxy=None) as connection:
        openpi_unpack(connection.recv(30.0))
        yield connection


def request(**changes: Any) -> dict[str, Any]:
    """What openpi's client would send to a policy with these keys, with changes."""
    values: dict[str, Any] = {
        "images/scene": np.zeros((96, 128, 3), np.uint8),
        "images/wrist": np.zeros((96, 128, 3), np.uint8),
        **{f"state/{group}": np.arange(8.0) for group in ("qpos", "qvel", "effort")},
        "prompt": "lift it",
        **changes,
    }
    return {key: value for key, value in values.items() if value is not None}


def answered(connection: ClientConnection, **changes: Any) -> dict[str, Any]:
    connection.send(openpi_pack(request(**changes)))
    answer = connection.recv(30.0)
    assert isinstance(answer, bytes), answer
    return openpi_unpack(answer)


def test_openpis_client_is_told_whose_policy_it_is_and_gets_actions(policy: Noting, port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}", compression=None, proxy=None) as connection:
        says = openpi_unpack(connection.recv(30.0))["vla"]
        assert (says["policy_id"], says["embodiment"]["name"]) == ("fake/sine", "fr3_sim")
        assert says["action_names"] == list(FR3.action_names)
        assert (says["step_ns"], says["real_time_chunking"]) == (FR3.step_ns, "prefix")
        first = answered(connection)
        assert first["actions"].shape == (30, 8)
        assert set(first["server_timing"]) == {"infer_ms"}
        second = answered(connection, **{"state/qpos": np.arange(8, dtype=np.float32)})
        assert set(second["server_timing"]) == {"infer_ms", "prev_total_ms"}
    assert [observation.prompt for observation, _ in policy.seen] == ["lift it", "lift it"]


def test_it_answers_whoever_looks_whether_it_lives(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 30.0) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_a_remote_policy_infers_what_the_policy_infers(policy: Noting, port: int) -> None:
    remote, local = remote_policy(f"ws://127.0.0.1:{port}?deadline_ms=30000", FR3), FakePolicy(FR3)
    assert (remote.policy_id, remote.real_time_chunking) == (local.policy_id, "prefix")
    remote.warm_up()
    observation = blank_observation(FR3, "lift it")
    observation.proprioception["qpos"][:] = np.random.default_rng(0).normal(size=8)
    object.__setattr__(observation, "stamp_ns", 1_790_000_000_123_456_789)
    over_there, here = remote.infer(observation), local.infer(observation)
    np.testing.assert_array_equal(over_there.actions, here.actions)
    assert (over_there.start_ns, over_there.step_ns, over_there.sequence, over_there.names) == (
        here.start_ns,
        here.step_ns,
        0,
        here.names,
    )
    np.testing.assert_array_equal(policy.seen[-1][0].proprioception["qpos"], observation.proprioception["qpos"])
    np.testing.assert_array_equal(policy.seen[-1][0].images["wrist"], observation.images["wrist"])


def test_real_time_chunking_goes_over_the_wire(policy: Noting, port: int) -> None:
    remote = remote_policy(f"ws://127.0.0.1:{port}?deadline_ms=30000", FR3)
    executed = remote.infer(blank_observation(FR3))
    prefix = ActionPrefix(executed, 3, 5, "linear")
    remote.infer(blank_observation(FR3), prefix)
    there = policy.seen[-1][1]
    assert there is not None
    assert (there.delay, there.execution_horizon, there.decay) == (3, 5, "linear")
    assert (there.chunk.start_ns, there.chunk.step_ns) == (executed.start_ns, executed.step_ns)
    np.testing.assert_array_equal(there.chunk.actions, executed.actions)


def test_a_policy_that_remembers_forgets_at_a_reset_and_when_another_robot_asks(policy: Noting, port: int) -> None:
    first, second = (remote_policy(f"ws://127.0.0.1:{port}?deadline_ms=30000", FR3) for _ in range(2))
    observation = blank_observation(FR3)
    for expected, robot in ((1, first), (1, first), (2, second), (3, first)):
        robot.infer(observation)
        assert policy.resets == expected
    first.reset()
    first.infer(observation)
    first.infer(observation)
    assert policy.resets == 4


def test_a_robot_of_another_kind_is_told_what_differs(port: int) -> None:
    data = config.to_mapping(FR3)
    data["steps"]["rate_hz"] = 20.0
    other = config.from_mapping(Embodiment, {**data, "name": "other"}, "other")
    with pytest.raises(
        EmbodimentMismatch, match=r"(?s)made for the embodiment 'fr3_sim' and does not fit 'other'.*30.*20"
    ):
        remote_policy(f"ws://127.0.0.1:{port}", other)


def test_a_server_that_says_what_it_means_takes_no_mapping(port: int, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("{schema: vla/remote/1, rate_hz: 1, actions: []}")
    with pytest.raises(ConfigError, match="expected no mapping"):
        remote_policy(f"ws://127.0.0.1:{port}?mapping={mapping}", FR3)


@pytest.mark.parametrize("presented", ["", "s3cre", "s3cretx", "S3CRET", "\u00fc"])
def test_without_its_token_nobody_comes_in(policy: Noting, presented: str) -> None:
    with serving(policy, TOKEN) as port:
        with pytest.raises(InvalidStatus, match="401"), client(port, presented):
            pass
        with client(port, TOKEN) as connection:
            assert answered(connection)["actions"].shape == (30, 8)


def test_more_robots_than_it_takes_are_told_to_come_back(policy: Noting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_module, "APPEARS_S", 0.0)
    with serving(policy, max_clients=1) as port:
        with client(port), pytest.raises(PeerLost, match="503"):
            remote_policy(f"ws://127.0.0.1:{port}", FR3)
        with client_when_free(port) as connection:
            assert answered(connection)["actions"].shape == (30, 8)


@contextmanager
def client_when_free(port: int) -> Iterator[ClientConnection]:
    for _ in range(1000):
        try:
            with client(port) as connection:
                yield connection
                return
        except InvalidStatus:
            threading.Event().wait(0.01)
    raise AssertionError("no place became free")


PREFIX = {
    "actions": np.zeros((10, 8)),
    "start_ns": 0,
    "step_ns": FR3.step_ns,
    "delay": 1,
    "execution_horizon": 2,
    "decay": "exp",
}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"images/wrist": None}, "expected 'images/wrist', found 'images/scene'"),
        ({"images/wrist": np.zeros((96, 128), np.uint8)}, "expected an image"),
        ({"images/wrist": np.zeros((96, 128, 3))}, "expected an image"),
        ({"images/wrist": np.zeros((0, 128, 3), np.uint8)}, "expected 1 to"),
        ({"images/wrist": "text"}, "expected an image"),
        ({"images/other": 1}, "found 'images/other'"),
        ({"state/qpos": np.zeros(7)}, "expected 8 floating-point numbers"),
        ({"state/qpos": np.zeros(8, np.int64)}, "expected 8 floating-point numbers"),
        ({"state/qpos": [0.0] * 8}, "expected 8 floating-point numbers"),
        ({"prompt": 3}, "prompt: expected str"),
        ({"stamp_ns": -1}, "stamp_ns: expected 0 to"),
        ({"stamp_ns": 1 << 63}, "stamp_ns: expected 0 to"),
        ({"stamp_ns": 0.5}, "stamp_ns: expected int"),
        ({"reset": 1}, "reset: expected bool"),
        ({"prefix": 3}, "prefix"),
        ({"prefix": {**PREFIX, "more": 1}}, "prefix"),
        ({"prefix": {**PREFIX, "delay": -1}}, "delay: expected 0 to"),
        ({"prefix": {**PREFIX, "delay": "1"}}, "delay: expected int"),
        ({"prefix": {**PREFIX, "decay": "all"}}, "decay: expected 'linear'"),
        ({"prefix": {**PREFIX, "decay": np.zeros(3)}}, "decay: expected str"),
        ({"prefix": {**PREFIX, "step_ns": 0}}, "expected a positive step duration"),
        ({"prefix": {**PREFIX, "actions": np.zeros((10, 7))}}, "expected actions of shape"),
        ({"prefix": {**PREFIX, "actions": np.full((10, 8), np.nan)}}, "expected a finite number"),
        ({"prefix": {**PREFIX, "actions": [1.0]}}, "prefix"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_by_name(
    policy: Noting, port: int, changes: dict[str, Any], complaint: str
) -> None:
    with client(port) as connection:
        connection.send(openpi_pack(request(**changes)))
        refusal = connection.recv(30.0)
        assert isinstance(refusal, str)
        assert complaint in refusal
        with pytest.raises(ConnectionClosed):
            connection.recv(30.0)
    assert policy.seen == []
    with client(port) as connection:
        assert answered(connection, prefix=PREFIX)["actions"].shape == (30, 8)


@pytest.mark.parametrize(
    "message",
    [
        "text",
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 5000,
        msgpack.packb([1, 2]),
        msgpack.packb({"images/scene": {b"__ndarray__": True, b"data": b"", b"dtype": "O", b"shape": [0]}}),
    ],
)
def test_a_malformed_message_ends_its_connection_and_no_other(port: int, message: bytes | str) -> None:
    with client(port) as other, client(port) as hostile:
        hostile.send(message)
        assert isinstance(hostile.recv(30.0), str)
        with pytest.raises(ConnectionClosed):
            hostile.recv(30.0)
        assert answered(other)["actions"].shape == (30, 8)


def test_a_message_that_is_too_long_is_not_read(policy: Noting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vla_policy_node.remote.server.MAX_REQUEST_BYTES", 1000)
    with serving(policy) as port, client(port) as connection:
        connection.send(bytes(1001))
        with pytest.raises(ConnectionClosed, match="1009"):
            connection.recv(30.0)


@pytest.mark.parametrize(
    "error", [PeerError("not like this"), RuntimeError("CUDA out of memory"), ValueError("x" * 10_000)]
)
def test_a_policy_that_fails_ends_one_connection(policy: Noting, port: int, error: Exception) -> None:
    remote = remote_policy(f"ws://127.0.0.1:{port}?deadline_ms=30000", FR3)
    policy.raises = error
    with pytest.raises(PeerError, match=f"reports an error: .*{str(error)[:20]}"):
        remote.infer(blank_observation(FR3))
    policy.raises = None
    with client(port) as connection:
        assert answered(connection)["actions"].shape == (30, 8)


def test_whoever_leaves_in_the_middle_ends_only_his_own_connection(policy: Noting, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 30.0) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost")
    with client(port) as leaving:
        leaving.send(openpi_pack(request()))
        leaving.socket.shutdown(socket.SHUT_RDWR)
    with socket.create_connection(("127.0.0.1", port), 30.0) as connection:
        connection.sendall(bytes(range(256)))
    with client(port) as connection:
        assert answered(connection)["actions"].shape == (30, 8)


def test_a_port_that_is_taken_is_one_clear_error(policy: Noting) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(PeerError, match=f"cannot listen on 127.0.0.1 port {number}"):
            asyncio.run(PolicyServer(policy, FR3).run("127.0.0.1", number, lambda port: None, asyncio.Event()))


def test_a_policy_that_cannot_go_on_from_a_chunk_says_so() -> None:
    class Plain(FakePolicy):
        real_time_chunking: Literal["guided", "prefix"] | None = None

    with serving(Plain(FR3)) as port:
        assert remote_policy(f"ws://127.0.0.1:{port}", FR3).real_time_chunking is None
