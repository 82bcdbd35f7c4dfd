"""GR00T's protocol over ZeroMQ: a request names an endpoint; observations and actions nest, with axes for batch and time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import zmq

from vla_core.errors import PeerError, PeerLost
from vla_policy_node.remote.address import Address
from vla_policy_node.remote.link import MAX_ANSWER_BYTES, told
from vla_policy_node.remote.wire import GrootArrays, pack, unpack

_SENT = ("video", "state", "language")


class GrootLink:
    """A client for GR00T's ``run_gr00t_server.py`` (``gr00t/policy/server_client.py``), whose policies see one step.

    Names are paths: ``video.ego`` is sent as ``ego`` below ``video``; what is answered has the names of the action's keys.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None

    def open(self, deadline_s: float) -> Mapping[str, Any]:
        self.close()
        self._socket = self._context.socket(zmq.REQ)
        self._socket.setsockopt(zmq.LINGER, 0)  # what was not sent is not sent later
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_ANSWER_BYTES)
        self._socket.setsockopt(zmq.IPV6, ":" in self._address.host)
        try:
            self._socket.connect(self._address.url)
        except zmq.ZMQError as error:
            raise PeerLost(f"{self._address.url}: cannot be reached: {error}") from error
        modalities = self._call("get_modality_config", None, deadline_s)
        if not isinstance(modalities, dict):
            raise PeerError(f"{self._address.url}: expected its modalities, found {type(modalities).__name__}")
        for name in ("video", "state"):
            self._require_one_step(name, modalities.get(name))
        return modalities

    def ask(self, request: Mapping[str, Any], deadline_s: float) -> Mapping[str, Any]:
        answer = self._call("get_action", {"observation": nested(request), "options": None}, deadline_s)
        if not isinstance(answer, list) or len(answer) != 2 or not isinstance(answer[0], dict):
            raise PeerError(f"{self._address.url}: expected a list of actions and notes, found {str(answer)[:120]}")
        return {key: self._unbatched(key, values) for key, values in answer[0].items()}

    def reset(self, deadline_s: float) -> None:
        self._call("reset", {"options": None}, deadline_s)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _call(self, endpoint: str, data: Mapping[str, Any] | None, deadline_s: float) -> Any:
        socket, url = self._socket, self._address.url
        if socket is None:
            raise PeerLost(f"{url}: there is no connection")
        request: dict[str, Any] = {"endpoint": endpoint}
        if data is not None:
            request["data"] = data
        if self._address.token:
            request["api_token"] = self._address.token
        try:
            socket.send(pack(request, GrootArrays()), zmq.NOBLOCK)
            if not socket.poll(round(deadline_s * 1e3)):
                raise PeerLost(
                    f"{url}: expected an answer to '{endpoint}' within {deadline_s * 1e3:.0f} ms, found none"
                )
            answer = unpack(socket.recv(zmq.NOBLOCK), GrootArrays(), MAX_ANSWER_BYTES)
        except zmq.ZMQError as error:
            raise PeerLost(f"{url}: {error}") from error
        if isinstance(answer, dict) and "error" in answer:
            raise PeerError(f"{url} reports an error: {told(str(answer['error']))}")
        return answer

    def _require_one_step(self, name: str, modality: Any) -> None:
        steps = modality.get("delta_indices") if isinstance(modality, dict) else None
        if not isinstance(steps, list) or len(steps) != 1:
            raise PeerError(
                f"{self._address.url}: {name}: expected a policy that sees one step, found {str(steps)[:80]}"
            )

    def _unbatched(self, key: Any, values: Any) -> Any:
        if not isinstance(values, np.ndarray):
            return values  # whoever wants it as an array refuses it
        if values.ndim != 3 or len(values) != 1:
            raise PeerError(
                f"{self._address.url}: {key}: expected actions of shape (1, horizon, dimensions), found {values.shape}"
            )
        return values[0]


def nested(request: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Values by paths as GR00T has them: below their modality, images (1, 1, H, W, 3), vectors (1, 1, n), texts [[text]].

    Raises:
        PeerError: a name is no path that begins with a modality.
    """
    observation: dict[str, dict[str, Any]] = {name: {} for name in _SENT}
    for path, value in request.items():
        modality, _, key = path.partition(".")
        if modality not in _SENT or not key:
            raise PeerError(f"GR00T's names: expected video.NAME, state.NAME or language.NAME, found '{path}'")
        observation[modality][key] = [[value]] if isinstance(value, str) else np.asarray(value)[None, None]
    return observation
