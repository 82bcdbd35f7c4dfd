"""A policy whose network runs on another machine (port :class:`vla_core.ports.Policy`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from vla_core.action_chunk import ActionChunk, validate_chunk
from vla_core.action_prefix import ActionPrefix
from vla_core.embodiment import Embodiment
from vla_core.errors import ConfigError, PeerError, PeerLost
from vla_core.observation import Observation
from vla_core.steps import blank_observation
from vla_policy_node.remote import served
from vla_policy_node.remote.address import Address, parse_address
from vla_policy_node.remote.link import Backoff, Link
from vla_policy_node.remote.mapping import Translation, load_mapping
from vla_policy_node.remote.served import ServedPolicy

APPEARS_S = 10.0
WARM_UP_S = 300.0  # a server may compile its network when it is asked first


def remote_policy(text: str, embodiment: Embodiment) -> RemotePolicy:
    """The policy at an address (see :func:`vla_policy_node.remote.address.parse_address`), for a robot.

    Raises:
        ConfigError: the address or the mapping is wrong.
        EmbodimentMismatch: the server's policy was made for another robot.
        PeerError: the server refuses, or says what cannot be used.
        PeerLost: nobody answers there.
    """
    address = parse_address(text)
    return RemotePolicy(_link_to(address), address, embodiment)


def _link_to(address: Address) -> Link:
    if address.scheme == "zmq":
        from vla_policy_node.remote.groot_link import GrootLink

        return GrootLink(address)
    from vla_policy_node.remote.openpi_link import OpenpiLink

    return OpenpiLink(address)


class RemotePolicy:
    """Observation to the server, actions from there.

    A request that fails for want of an answer raises PeerLost; later ones connect anew, with pauses between the attempts.
    Whether the server is still the same one is looked at each time.

    Args:
        link: to the server.
        address: of the server.
        embodiment: of the robot.
    """

    def __init__(self, link: Link, address: Address, embodiment: Embodiment) -> None:
        self._link = link
        self._address = address
        self._embodiment = embodiment
        self._backoff = Backoff()
        self._mapping = load_mapping(address.mapping) if address.mapping else None
        self._served: ServedPolicy | None = None
        self._translation: Translation | None = None
        self._open = False
        self._forget = True
        self._sequence = 0
        self._appear()

    @property
    def policy_id(self) -> str:
        return self._served.policy_id if self._served else self._address.url

    @property
    def real_time_chunking(self) -> Literal["guided", "prefix"] | None:
        """As the server's policy, if it is a server of ours; others cannot be told of a prefix."""
        return self._served.real_time_chunking if self._served else None

    def warm_up(self) -> float:
        """Has the server infer once, however long its first inference takes. Returns how long that took [s]."""
        began_s = time.monotonic()
        self._infer(blank_observation(self._embodiment), None, WARM_UP_S)
        self._forget = True
        self._sequence = 0
        return time.monotonic() - began_s

    def infer(self, observation: Observation, prefix: ActionPrefix | None = None) -> ActionChunk:
        """Infers over there, within the deadline.

        Raises:
            PeerLost: no answer came.
            PeerError: the server reports an error, or answers what cannot be used.
            EmbodimentMismatch: another server is there now, for another robot.
        """
        return self._infer(observation, prefix, self._address.deadline_s)

    def reset(self) -> None:
        """Has the server forget, with the next request: this does not wait for it."""
        self._forget = True

    def _appear(self) -> None:
        """Waits a while for the server, which may be starting too."""
        until_s = time.monotonic() + APPEARS_S
        while True:
            try:
                self._connect(max(self._address.deadline_s, 1.0))
                return
            except PeerLost:
                if time.monotonic() >= until_s:
                    raise
                time.sleep(self._backoff.remaining_s())

    def _infer(self, observation: Observation, prefix: ActionPrefix | None, within_s: float) -> ActionChunk:
        began_s = time.monotonic()

        def remaining_s() -> float:
            return max(1e-3, within_s - (time.monotonic() - began_s))

        if not self._open:
            if (pause_s := self._backoff.remaining_s()) > 0:
                raise PeerLost(f"{self._address.url}: is gone; it is looked for again in {pause_s:.1f} s")
            self._connect(remaining_s())
        try:
            answer = self._ask(observation, prefix, remaining_s)
            chunk = self._chunk(answer, observation)
        except (PeerLost, PeerError):
            # an answer that comes too late must not be taken for that to the next request
            self._disconnect()
            raise
        self._forget = False
        self._backoff.succeeded()
        return chunk

    def _ask(
        self, observation: Observation, prefix: ActionPrefix | None, remaining_s: Callable[[], float]
    ) -> Mapping[str, Any]:
        assert self._translation is not None, "is there since it is connected"
        request = self._translation.inputs(observation)
        if self._served is not None:
            request[served.STAMP] = observation.stamp_ns
            request[served.RESET] = self._forget
            if prefix is not None:
                request[served.PREFIX] = served.prefix_sent(prefix)
        elif prefix is not None:
            raise PeerError(
                f"{self._address.url}: its protocol knows no chunk to go on from; expected another strategy"
            )
        elif self._forget:
            self._link.reset(remaining_s())
        return self._link.ask(request, remaining_s())

    def _chunk(self, answer: Mapping[str, Any], observation: Observation) -> ActionChunk:
        assert self._translation is not None, "is there since it is connected"
        start_ns = answer.get(served.START, observation.stamp_ns) if self._served else observation.stamp_ns
        if type(start_ns) is not int:
            raise PeerError(f"{self._address.url}: {served.START}: expected a time, found {str(start_ns)[:80]}")
        chunk = ActionChunk(
            actions=self._translation.actions(answer, observation),
            names=self._embodiment.action_names,
            start_ns=start_ns,
            step_ns=self._translation.step_ns,
            observation_ns=observation.stamp_ns,
            policy_id=self.policy_id,
            sequence=self._sequence,
        )
        validate_chunk(chunk, self._embodiment.action_names)
        self._sequence += 1
        return chunk

    # -- the connection ------------------------------------------------------------------------------------------------

    def _connect(self, deadline_s: float) -> None:
        try:
            metadata = self._link.open(deadline_s)
        except PeerLost:
            self._disconnect()
            raise
        try:
            self._understand(metadata)
        except Exception:
            self._disconnect()
            raise
        self._open = True
        self._forget = True

    def _disconnect(self) -> None:
        self._open = False
        self._backoff.failed()
        self._link.close()

    def _understand(self, metadata: Mapping[str, Any]) -> None:
        """Reads what the server says of itself, and refuses another one than before."""
        url = self._address.url
        if served.KEY not in metadata:
            self._require_same(None)
            if self._mapping is None:
                raise ConfigError(
                    f"{url}: does not say what its actions mean; expected a mapping: policy:=…?mapping=FILE, see docs/remote.md"
                )
            self._translation = Translation(self._mapping, self._embodiment, str(self._address.mapping))
            return
        found = ServedPolicy.read(metadata, url)
        if self._mapping is not None:
            raise ConfigError(f"{url}: says what its actions mean; expected no mapping, found {self._address.mapping}")
        self._require_same(found.policy_id)
        found.require_fitting(self._embodiment, url)
        self._served, self._translation = found, Translation(found.mapping(), self._embodiment, url)

    def _require_same(self, policy_id: str | None) -> None:
        before = self._served.policy_id if self._served else None
        if self._translation is not None and policy_id != before:
            raise PeerError(
                f"{self._address.url}: expected the policy {before or 'of before'}, found {policy_id or 'a server of openpi'}; "
                "load it to use it"
            )
