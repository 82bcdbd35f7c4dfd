"""Calls of other nodes' services, from threads beside the loop."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.client import Client

from vla_core.errors import VlaError


class CallError(VlaError):
    """A service of another node is not there, does not answer, or says no."""


def call(client: Client, request: Any, within_s: float) -> Any:
    """Calls a service and returns the response. Not for the loop.

    Args:
        client: of the service.
        request: to it.
        within_s: how long to wait for the service to be there, and then for its answer [s].

    Raises:
        CallError: it was not there, or did not answer, in time.
    """
    if not client.wait_for_service(within_s):
        raise CallError(f"expected the service {client.srv_name}, found none within {within_s:.0f} s")
    future = client.call_async(request)
    try:
        return answer(future, client.srv_name, within_s)
    except CallError:
        client.remove_pending_request(future)
        raise


def answer(future: Any, who: str, within_s: float) -> Any:
    """The result of a call that was made; who is asked, for the error. Not for the loop.

    Raises:
        CallError: it did not come in time.
    """
    answered = threading.Event()
    future.add_done_callback(lambda _: answered.set())
    if not answered.wait(within_s):
        raise CallError(f"{who}: expected an answer within {within_s:.0f} s, found none")
    return future.result()
