"""A server for our policies that speaks openpi's protocol."""

from __future__ import annotations

import asyncio
import hmac
import http
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from vla_core import config
from vla_core.action_chunk import ActionChunk
from vla_core.embodiment import Embodiment
from vla_core.errors import PeerError, VlaError
from vla_core.ports import Policy
from vla_policy_node.remote import served
from vla_policy_node.remote.request import Request, read_request
from vla_policy_node.remote.wire import OpenpiArrays, pack, unpack

MAX_REQUEST_BYTES = 64 << 20
MAX_CLIENTS = 4
_REASON_BYTES = 120  # of a closing frame
_ERROR = 1011
_log = logging.getLogger(__name__)


class PolicyServer:
    """Serves one policy to robots, one inference at a time.

    Whatever a client sends, it ends its own connection at most: it is told what was wrong in a text, as openpi's server does.

    Args:
        policy: loaded and warmed up.
        embodiment: the robot that it was trained with.
        token: what a client must present; empty: nothing.
        max_clients: connections at a time.
    """

    def __init__(self, policy: Policy, embodiment: Embodiment, token: str = "", max_clients: int = MAX_CLIENTS) -> None:
        self._policy = policy
        self._embodiment = embodiment
        self._token = token
        self._max_clients = max_clients
        self._clients: set[ServerConnection] = set()
        self._last: ServerConnection | None = None  # whose request was inferred last
        self._worker = ThreadPoolExecutor(1, "inference")  # one thread: networks remember, devices are shared
        says = served.ServedPolicy.of(policy, embodiment)
        self._metadata = pack({served.KEY: config.to_mapping(says)}, OpenpiArrays())

    async def run(self, host: str, port: int, listening: Callable[[int], None], stop: asyncio.Event) -> None:
        """Serves until ``stop`` is set.

        Args:
            host: address to listen on.
            port: TCP port; 0: one that is free.
            listening: is told the port when clients can connect.
            stop: set from the loop.

        Raises:
            PeerError: the address or the port cannot be used.
        """
        try:
            server = await serve(
                self._serve,
                host,
                port,
                process_request=self._admit,
                compression=None,
                max_size=MAX_REQUEST_BYTES,
                max_queue=1,
                server_header=None,
            )
        except OSError as error:
            raise PeerError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
        async with server:
            listening(_port_of(server))
            await stop.wait()
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _admit(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        """Answers what is no client of the protocol, or one that may not come in."""
        if request.path == "/healthz":
            return connection.respond(http.HTTPStatus.OK, "OK\n")
        if self._token:
            presented = request.headers.get("Authorization", "")
            if not hmac.compare_digest(presented.encode(errors="surrogateescape"), f"Api-Key {self._token}".encode()):
                return connection.respond(http.HTTPStatus.UNAUTHORIZED, "expected a token, or another one\n")
        if len(self._clients) >= self._max_clients:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, f"{self._max_clients} clients are there\n")
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        name = str(connection.remote_address)
        self._clients.add(connection)
        _log.info("%s: connected", name)
        try:
            await connection.send(self._metadata)
            await self._answer_all(connection)
        except ConnectionClosed as closed:
            _log.info("%s: gone: %s", name, closed)
        except VlaError as error:
            await self._report(connection, str(error))
        except Exception as error:  # a defect of ours or of the policy's: this client is told, the others are served
            _log.exception("%s: failed", name)
            await self._report(connection, f"{type(error).__name__}: {error}")
        finally:
            self._clients.discard(connection)
            if self._last is connection:
                self._last = None

    async def _answer_all(self, connection: ServerConnection) -> None:
        previous_ms: float | None = None
        async for message in connection:
            began_s = time.perf_counter()
            if isinstance(message, str):
                raise PeerError("expected a binary message, found a text")
            request = read_request(unpack(message, OpenpiArrays(), MAX_REQUEST_BYTES), self._embodiment)
            loop = asyncio.get_running_loop()
            chunk, infer_ms = await loop.run_in_executor(self._worker, self._infer, connection, request)
            timing = {"infer_ms": infer_ms} | ({} if previous_ms is None else {"prev_total_ms": previous_ms})
            answer: dict[str, Any] = {
                served.ACTIONS: chunk.actions,
                served.START: chunk.start_ns,
                served.TIMING: timing,
            }
            await connection.send(pack(answer, OpenpiArrays()))
            previous_ms = (time.perf_counter() - began_s) * 1e3

    def _infer(self, connection: ServerConnection, request: Request) -> tuple[ActionChunk, float]:
        """In the thread of the policy. Returns the chunk and how long it took [ms]."""
        began_s = time.perf_counter()
        if request.reset or self._last is not connection:
            self._policy.reset()
        self._last = connection
        chunk = self._policy.infer(request.observation, request.prefix)
        return chunk, (time.perf_counter() - began_s) * 1e3

    async def _report(self, connection: ServerConnection, what: str) -> None:
        """Tells a client what was wrong, and ends its connection."""
        _log.warning("%s: %s", connection.remote_address, what)
        try:
            await connection.send(what)
            await connection.close(_ERROR, what.encode()[:_REASON_BYTES].decode(errors="ignore"))
        except ConnectionClosed:
            return


def _port_of(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])
