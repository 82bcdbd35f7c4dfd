"""A recorder_node as an operator's console sees it: the port over its services and its status topic."""

from __future__ import annotations

import threading
import time
from pathlib import PurePath
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger
from vla_msgs.msg import RecorderStatus as RecorderStatusMessage
from vla_msgs.srv import SetPrompt, StartEpisode, StopEpisode

from vla_recorder.operations import Reply
from vla_recorder.ros.messages import status_from
from vla_recorder.status import FAILURE, SUCCESS, RecorderStatus
from vla_ros import names, qos

_ANSWER_S = 5.0
_BEGIN_S = 30.0  # one that is to be redone may have to be removed first
_FINISH_S = 130.0  # a file of minutes may take the disk a while
_SILENT_S = 2.0
_STATUS_S = 1.0


class RemoteRecorder:
    """Works a recorder_node. A context manager; its node is spun in a thread of its own."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._newest: tuple[float, RecorderStatusMessage] | None = None
        self._arrived = threading.Condition()
        self._start = node.create_client(StartEpisode, names.START_EPISODE)
        self._stop = node.create_client(StopEpisode, names.STOP_EPISODE)
        self._prompt = node.create_client(SetPrompt, names.SET_RECORDER_PROMPT)
        self._marks = {
            FAILURE: node.create_client(Trigger, names.MARK_FAILURE),
            SUCCESS: node.create_client(Trigger, names.MARK_SUCCESS),
        }
        node.create_subscription(RecorderStatusMessage, names.RECORDER_STATUS, self._on_status, qos.latched())
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._executor.spin, name="remote-recorder", daemon=True)

    def __enter__(self) -> RemoteRecorder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(2.0)

    def start(self, redo: bool = False) -> Reply:
        answer = self._call(self._start, StartEpisode.Request(redo=redo), _BEGIN_S)
        if isinstance(answer, Reply):
            return answer
        recording = f"recording {PurePath(answer.path).name}" + (" again" if redo else "")
        return Reply(answer.accepted, answer.message or recording)

    def stop(self, outcome: str = "") -> Reply:
        answer = self._call(self._stop, StopEpisode.Request(outcome=outcome), _FINISH_S)
        if isinstance(answer, Reply) or not answer.accepted:
            return answer if isinstance(answer, Reply) else Reply(False, answer.message)
        if not answer.path:
            return Reply(True, "discarded")
        saved = f"{PurePath(answer.path).name} saved, {answer.steps} steps"
        return Reply(True, saved, tuple(answer.verdict.splitlines()))

    def mark(self, outcome: str) -> Reply:
        answer = self._call(self._marks[outcome], Trigger.Request(), _ANSWER_S)
        if isinstance(answer, Reply):
            return answer
        return Reply(answer.success, answer.message or f"marked as a {outcome}")

    def set_prompt(self, prompt: str) -> Reply:
        answer = self._call(self._prompt, SetPrompt.Request(prompt=prompt), _ANSWER_S)
        if isinstance(answer, Reply):
            return answer
        return Reply(answer.accepted, answer.message or f"prompt: {prompt}")

    def status(self) -> RecorderStatus | None:
        """The newest status; None while the recorder is silent."""
        newest = self._newest
        if newest is None or time.monotonic() - newest[0] > _SILENT_S:
            return None
        return status_from(newest[1])

    def _call(self, client: Any, request: Any, within_s: float) -> Any:
        """The answer of a service, or a Reply that says why there is none."""
        if not client.wait_for_service(_ANSWER_S):
            return Reply(False, f"expected a recorder_node to offer {client.srv_name}, found none")
        # a recorder whose status has come has found the clients, which were made before it was asked for: it can answer
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._newest is not None, _ANSWER_S):
                return Reply(False, f"expected a status of the recorder_node that offers {client.srv_name}, found none")
        answered = threading.Event()
        asked = time.monotonic()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(within_s):
            client.remove_pending_request(future)
            return Reply(False, f"{client.srv_name} did not answer within {within_s:.0f} s")
        with self._arrived:  # the console decides by the status what the next key means: it must know of this one
            self._arrived.wait_for(lambda: self._newest is not None and self._newest[0] > asked, _STATUS_S)
        return future.result()

    def _on_status(self, message: RecorderStatusMessage) -> None:
        with self._arrived:
            self._newest = (time.monotonic(), message)
            self._arrived.notify_all()
