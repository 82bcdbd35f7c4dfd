"""The simulated cameras."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo, Image

from vla_core.embodiment import Embodiment
from vla_core.embodiment.schema import Camera
from vla_ros import qos
from vla_ros.codecs.images import image_message
from vla_ros.host import NodeHost
from vla_ros.time import to_time
from vla_sim.plant import Plant

_DEPTH = 20


class CameraPublishers:
    """Renders and publishes each camera at its rate: ``image_raw`` and ``camera_info``, stamped with the simulated time."""

    def __init__(self, host: NodeHost, embodiment: Embodiment, plant: Plant) -> None:
        self._plant = plant
        self._cameras = dict(embodiment.cameras)
        self._images = {
            role: host.publisher(Image, camera.topic, qos.stream(_DEPTH, camera.reliability))
            for role, camera in self._cameras.items()
        }
        self._infos = {
            role: host.publisher(CameraInfo, _info_topic(camera), qos.stream(_DEPTH, camera.reliability))
            for role, camera in self._cameras.items()
        }
        self._frame = dict.fromkeys(self._cameras, -1)

    def next_ns(self, now_ns: int) -> int:
        """When the next image is due, at ``now_ns`` at the earliest, in whole milliseconds [ns]."""
        return min(self._due_ns(role, now_ns) for role in self._cameras)

    def publish(self, now_ns: int) -> None:
        """Renders and publishes the cameras that are due now."""
        for role, camera in self._cameras.items():
            if self._due_ns(role, now_ns) > now_ns:
                continue
            self._frame[role] = self._number(camera, now_ns)
            image = self._plant.render(role, camera.width, camera.height)
            self._images[role].publish(image_message(image, now_ns, role))
            self._infos[role].publish(_camera_info(camera, now_ns, role))

    def _due_ns(self, role: str, now_ns: int) -> int:
        number = max(self._frame[role] + 1, self._number(self._cameras[role], now_ns))
        exact_ns = number * 1e9 / self._cameras[role].rate_hz
        return max(now_ns, -int(-exact_ns // 1_000_000) * 1_000_000)

    @staticmethod
    def _number(camera: Camera, now_ns: int) -> int:
        """Which image of a camera it is that is taken now: the last one due by the end of this millisecond."""
        return int(now_ns * 1e-9 * camera.rate_hz + 1e-6)


def _info_topic(camera: Camera) -> str:
    return camera.topic.rsplit("/", 1)[0] + "/camera_info"


def _camera_info(camera: Camera, stamp_ns: int, frame_id: str) -> CameraInfo:
    message = CameraInfo(width=camera.width, height=camera.height, distortion_model="plumb_bob", d=[0.0] * 5)
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = frame_id
    return message
