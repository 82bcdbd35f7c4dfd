"""``./vla serve``: a shipped policy for robots elsewhere, through a process that is killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from served import Served

from vla.paths import checkout
from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.embodiment import load_embodiment
from vla_core.errors import PeerError, PeerLost
from vla_core.observation import Observation
from vla_core.steps import blank_observation
from vla_policy_node.remote import RemotePolicy, remote_policy

FR3 = load_embodiment(checkout() / "config" / "embodiments" / "fr3_sim.yaml")
SHIPPED = checkout() / "checkpoints" / "pick_place"
LONG_S = 300.0


@pytest.fixture
def fake() -> Iterator[Served]:
    with Served("--policy", "fake") as server:
        yield server


def seen(seed: int = 0) -> Observation:
    random = np.random.default_rng(seed)
    observation = blank_observation(FR3, "put the cube on the mark")
    for image in observation.images.values():
        image[:] = random.integers(0, 256, image.shape)
    for vector in observation.proprioception.values():
        vector[:] = random.normal(scale=0.1, size=vector.shape)
    return observation


def again(policy: RemotePolicy) -> ActionChunk:
    """Infers, as often as it is told that the server is gone."""
    until_s = time.monotonic() + LONG_S
    while True:
        try:
            return policy.infer(seen())
        except PeerLost:
            assert time.monotonic() < until_s
            time.sleep(0.02)


@pytest.mark.skipif(not SHIPPED.is_dir(), reason=f"there is no shipped policy yet, {SHIPPED}")
def test_the_shipped_policy_infers_the_same_over_there_as_here() -> None:
    from vla_policies import load

    here = load(SHIPPED, embodiment=FR3)
    with Served("--policy", str(SHIPPED)) as server:
        there = remote_policy(f"{server.address}?deadline_ms=60000", FR3)
        assert there.policy_id == here.policy_id
        assert there.real_time_chunking == here.real_time_chunking
        there.warm_up()
        for seed in range(2):
            np.testing.assert_allclose(
                there.infer(seen(seed)).actions, here.infer(seen(seed)).actions, rtol=0, atol=1e-5
            )
        with pytest.raises(PeerError, match="expected a family whose chunks can go on"):
            there.infer(seen(), ActionPrefix(here.infer(seen()), 1, 1))


def test_a_server_that_is_killed_is_lost_and_found_when_it_is_back(fake: Served) -> None:
    policy = remote_policy(f"{fake.address}?deadline_ms=5000", FR3)
    assert policy.infer(seen()).sequence == 0
    fake.kill()
    with pytest.raises(PeerLost, match="the connection was closed"):
        policy.infer(seen())
    with pytest.raises(PeerLost, match="is gone; it is looked for again in"):
        policy.infer(seen())
    fake.start()
    assert again(policy).sequence == 1


def test_a_server_that_hangs_is_lost_at_the_deadline(fake: Served) -> None:
    policy = remote_policy(f"{fake.address}?deadline_ms=500", FR3)
    again(policy)
    fake.signal(signal.SIGSTOP)
    try:
        with pytest.raises(PeerLost, match="expected an answer within 500 ms, found none"):
            policy.infer(seen())
    finally:
        fake.signal(signal.SIGCONT)
    assert len(again(policy).actions) == 30


def test_the_token_is_in_a_file_or_in_the_environment_and_nowhere_to_be_read(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    for server in (
        Served("--policy", "fake", "--token-file", str(token)),
        Served("--policy", "fake", VLA_POLICY_TOKEN="s3cret"),
    ):
        with server:
            assert len(again(remote_policy(f"{server.address}?token_file={token}", FR3)).actions) == 30
            with pytest.raises(PeerError, match="wants a token, and none is given"):
                remote_policy(server.address, FR3)
            command_line = Path(f"/proc/{server._process.pid}/cmdline").read_bytes()
        assert b"s3cret" not in command_line
        assert not any("s3cret" in line for line in server.said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_asked_to_and_tells_its_clients(fake: Served, number: signal.Signals) -> None:
    policy = remote_policy(f"{fake.address}?deadline_ms=5000", FR3)
    policy.infer(seen())
    assert fake.end(number) == 0
    assert not any("Traceback" in line for line in fake.said)
    with pytest.raises(PeerLost, match="going away"):
        policy.infer(seen())


def test_it_listens_on_this_machine_alone_unless_it_is_told_otherwise(fake: Served) -> None:
    assert any(f"serving at ws://127.0.0.1:{fake.port}" in line for line in fake.said)
    with Served("--policy", "fake", "--host", "0.0.0.0") as open_to_all:
        assert any("anybody who reaches 0.0.0.0 may ask: there is no token" in line for line in open_to_all.said)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--policy", "nowhere/at_all"), "policy: expected a checkpoint folder"),
        (("--policy", "fake", "--token-file", "nowhere/at_all"), "nowhere/at_all: cannot be read"),
        (("--policy", "fake", "--host", "192.0.2.1"), "cannot listen on 192.0.2.1"),
    ],
)
def test_what_it_cannot_do_is_one_clear_line(words: tuple[str, ...], complaint: str) -> None:
    command = [sys.executable, "-m", "vla", "serve", *words, "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONG_S, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert complaint in line
