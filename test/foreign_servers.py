"""openpi's and GR00T's servers as their protocols are published, around a function instead of a network."""

from __future__ import annotations

import contextlib
import http
import io
import socket
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import zmq
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

Answer = Callable[[Any], Any]


def openpi_pack(value: Any) -> bytes:
    def default(array: Any) -> Any:
        if isinstance(array, np.ndarray):
            return {b"__ndarray__": True, b"data": array.tobytes(), b"dtype": array.dtype.str, b"shape": array.shape}
        return {b"__npgeneric__": True, b"data": array.item(), b"dtype": array.dtype.str}

    return msgpack.packb(value, default=default)


def openpi_unpack(message: bytes) -> Any:
    def hook(value: Any) -> Any:
        if b"__ndarray__" not in value:
            return value
        return np.ndarray(buffer=value[b"data"], dtype=np.dtype(value[b"dtype"]), shape=value[b"shape"])

    return msgpack.unpackb(message, object_hook=hook)


class OpenpiServer:
    """openpi's ``WebsocketPolicyServer``. A context manager; may be stopped and started again at the same port."""

    def __init__(self, answer: Answer, metadata: Any = None, token: str = "", port: int = 0) -> None:
        self.answer = answer
        self.metadata: Any = {} if metadata is None else metadata
        self.token = token
        self.port = port
        self.requests: list[Any] = []

    def __enter__(self) -> OpenpiServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._connections: list[ServerConnection] = []
        self._server = serve(
            self._serve, "127.0.0.1", self.port, process_request=self._admit, compression=None, max_size=None
        )
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)  # as if its process had died
        self._thread.join(10.0)
        assert not self._thread.is_alive()

    def _admit(self, connection: ServerConnection, request: Any) -> Any:
        if self.token and request.headers.get("Authorization") != f"Api-Key {self.token}":
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "no")
        return None

    def _serve(self, connection: ServerConnection) -> None:
        self._connections.append(connection)
        try:
            connection.send(self.metadata if isinstance(self.metadata, bytes | str) else openpi_pack(self.metadata))
            while True:
                self.requests.append(openpi_unpack(connection.recv()))
                answer = self.answer(self.requests[-1])
                if isinstance(answer, bytes):
                    connection.send(answer)
                elif answer is not None:
                    connection.send(openpi_pack({**answer, "server_timing": {"infer_ms": 1.0}}))
        except (ConnectionClosed, OSError):
            return
        except Exception:
            connection.send(traceback.format_exc())
            connection.close(1011, "Internal server error. Traceback included in previous frame.")


def groot_pack(value: Any) -> bytes:
    def default(array: Any) -> Any:
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        return {"__ndarray_class__": True, "as_npy": file.getvalue()}

    return msgpack.packb(value, default=default)


def groot_unpack(message: bytes) -> Any:
    def hook(value: Any) -> Any:
        if "__ndarray_class__" not in value:
            return value
        return np.load(io.BytesIO(value["as_npy"]), allow_pickle=False)

    return msgpack.unpackb(message, object_hook=hook)


def modality(*keys: str, delta_indices: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """As GR00T describes one."""
    return {
        "__ModalityConfig_class__": True,
        "as_json": {"delta_indices": list(delta_indices), "modality_keys": list(keys), "action_configs": None},
    }


class GrootServer:
    """GR00T's ``PolicyServer``. A context manager; may be stopped and started again at the same port."""

    def __init__(self, answer: Answer, modalities: dict[str, Any], token: str = "") -> None:
        self.answer = answer
        self.modalities = modalities
        self.token = token
        self.port = 0
        self.calls: list[str] = []
        self.observations: list[Any] = []

    def __enter__(self) -> GrootServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._stopped = threading.Event()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        deadline = time.monotonic() + 20.0
        while True:
            try:
                self._socket.bind(f"tcp://127.0.0.1:{self.port or '*'}")
                break
            except zmq.ZMQError:  # ZeroMQ gives a port back in a thread of its own
                assert time.monotonic() < deadline
                time.sleep(0.01)
        self.port = int(self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(10.0)
        self._socket.close()
        self._context.term()

    def _run(self) -> None:
        while not self._stopped.is_set():
            if not self._socket.poll(20):
                continue
            request = groot_unpack(self._socket.recv())
            try:
                answer = self._answered(request)
            except Exception as error:
                answer = {"error": str(error)}
            if answer is None:  # it hangs: a REP socket could not take another request either
                self._stopped.wait()
            else:
                self._socket.send(answer if isinstance(answer, bytes) else groot_pack(answer))

    def _answered(self, request: dict[str, Any]) -> Any:
        if self.token and request.get("api_token") != self.token:
            return {"error": "Unauthorized: Invalid API token"}
        self.calls.append(request["endpoint"])
        if request["endpoint"] == "get_modality_config":
            return self.modalities
        if request["endpoint"] == "reset":
            return {"options": request["data"]["options"]}
        assert request["endpoint"] == "get_action"
        self.observations.append(request["data"]["observation"])
        return self.answer(self.observations[-1])
