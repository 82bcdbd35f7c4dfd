"""openpi's protocol over a websocket: the server speaks first, of itself; then an answer for each request; errors are texts."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from vla_core.errors import PeerError, PeerLost
from vla_policy_node.remote.address import TOKEN_VARIABLE, Address
from vla_policy_node.remote.link import MAX_ANSWER_BYTES, told
from vla_policy_node.remote.wire import OpenpiArrays, pack, unpack

_UNAUTHORIZED = (401, 403)
_ENDING_S = 5.0
T = TypeVar("T")


class OpenpiLink:
    """A client for openpi's ``serve_policy.py`` and for ``./vla serve``.

    It has a thread for its event loop, so that the server's pings are answered between two requests.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connections: list[ClientConnection] = []  # the one that is open, or none
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever, name="openpi", daemon=True)
        thread.start()
        weakref.finalize(self, _end, self._loop, thread, self._connections)

    def open(self, deadline_s: float) -> Mapping[str, Any]:
        self.close()
        return self._within(deadline_s, self._open(deadline_s), "a connection")

    def ask(self, request: Mapping[str, Any], deadline_s: float) -> Mapping[str, Any]:
        if not self._connections:
            raise PeerLost(f"{self._address.url}: there is no connection")
        answer = self._within(
            deadline_s, self._ask(self._connections[0], pack(dict(request), OpenpiArrays())), "an answer"
        )
        if isinstance(answer, str):
            raise PeerError(f"{self._address.url} reports an error: {told(answer)}")
        return self._read(answer)

    def reset(self, deadline_s: float) -> None:
        """Openpi's protocol has no word for it: its policies remember nothing."""

    def close(self) -> None:
        while self._connections:
            # not the closing handshake: whoever is gone does not take part in it
            self._loop.call_soon_threadsafe(self._connections.pop().transport.abort)

    async def _open(self, deadline_s: float) -> Mapping[str, Any]:
        token = self._address.token
        connection = await connect(
            self._address.url,
            compression=None,
            max_size=MAX_ANSWER_BYTES,
            max_queue=2,
            proxy=None,  # a robot's server is not behind one, and the environment's would see the token
            open_timeout=deadline_s,
            additional_headers={"Authorization": f"Api-Key {token}"} if token else None,
        )
        try:
            metadata = await connection.recv()
            if isinstance(metadata, str):
                raise PeerError(f"{self._address.url} refuses: {told(metadata)}")
            read = self._read(metadata)
        except BaseException:
            connection.transport.abort()
            raise
        self._connections.append(connection)
        return read

    async def _ask(self, connection: ClientConnection, request: bytes) -> bytes | str:
        await connection.send(request)
        return await connection.recv()

    def _read(self, message: bytes | str) -> Mapping[str, Any]:
        if isinstance(message, str):
            raise PeerError(f"{self._address.url}: expected a binary message, found a text")
        values = unpack(message, OpenpiArrays(), MAX_ANSWER_BYTES)
        if not isinstance(values, dict):
            raise PeerError(f"{self._address.url}: expected a map, found {type(values).__name__}")
        return values

    def _within(self, deadline_s: float, work: Coroutine[Any, Any, T], what: str) -> T:
        """The result of work in the loop. Every way in which the other side can be gone is PeerLost."""
        url = self._address.url
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, deadline_s), self._loop)
        try:
            return future.result()
        except (asyncio.TimeoutError, TimeoutError):
            raise PeerLost(f"{url}: expected {what} within {deadline_s * 1e3:.0f} ms, found none") from None
        except InvalidStatus as error:
            raise self._refused(error.response.status_code) from error
        except (InvalidURI, InvalidHandshake) as error:
            raise PeerError(f"{url}: expected openpi's websocket protocol, found: {told(str(error))}") from error
        except ConnectionClosed as error:
            raise PeerLost(f"{url}: the connection was closed: {told(str(error))}") from error
        except (OSError, EOFError, WebSocketException) as error:
            raise PeerLost(f"{url}: cannot be reached: {told(str(error))}") from error

    def _refused(self, status: int) -> PeerError | PeerLost:
        url = self._address.url
        if status in _UNAUTHORIZED:
            known = "the token is not the server's" if self._address.token else "it wants a token, and none is given"
            return PeerError(f"{url} refuses (HTTP {status}): {known}; see token_file= and {TOKEN_VARIABLE}")
        if status >= 500:  # a server that is full, or a proxy before one that is gone
            return PeerLost(f"{url}: expected a policy's server, found HTTP status {status}")
        return PeerError(f"{url}: expected openpi's websocket protocol, found HTTP status {status}")


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread, connections: list[ClientConnection]) -> None:
    """Ends the loop's thread, with what is open on it."""

    async def ended() -> None:
        closed = [connection.wait_closed() for connection in connections]
        for connection in connections:
            connection.transport.abort()
        await asyncio.gather(*closed, return_exceptions=True)
        loop.stop()

    asyncio.run_coroutine_threadsafe(ended(), loop)
    if threading.current_thread() is not thread:
        thread.join(_ENDING_S)
    if not loop.is_running():
        loop.close()
