"""Keeps a process that keeps time away from Fast DDS' shared memory.

Whenever another process joins the graph, Fast DDS opens its shared memory and holds a lock meanwhile that publishers need:
publishing a command waited for up to a third of a second. Small messages gain nothing by shared memory.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
_LOCALHOST_ONLY = "ROS_LOCALHOST_ONLY"
_STATIC_PEERS = "ROS_STATIC_PEERS"
_PROFILES_FILE = "FASTRTPS_DEFAULT_PROFILES_FILE"
_BUILTIN = "FASTDDS_BUILTIN_TRANSPORTS"
_OF_THE_USER = (_BUILTIN, _PROFILES_FILE, "FASTDDS_DEFAULT_PROFILES_FILE")
_FOR_IMAGES = "large_images.xml"  # of config/dds, for those that publish images
_LOCALHOST_BY_UDP = Path(__file__).parent / "localhost_by_udp.xml"


def avoid_shared_memory(environment: MutableMapping[str, str] = os.environ) -> None:
    """Has Fast DDS use UDP alone, in this process and those that it starts. Call it before ROS is started.

    What the user has set about transports rules, but for ``large_images.xml``, which is meant for the whole suite. Other
    middlewares do not look at these variables. On this computer alone (``ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST``)
    rmw_fastrtps adds shared memory whatever they say; there a profile says the same as that range, without it. It cannot where
    ``ROS_STATIC_PEERS`` are named as well: then nothing is changed.
    """
    of_the_user = {name for name in _OF_THE_USER if environment.get(name)}
    if Path(environment.get(_PROFILES_FILE, "")).name == _FOR_IMAGES:
        of_the_user.remove(_PROFILES_FILE)
    here_alone = environment.get(_RANGE, "").upper() == "LOCALHOST" or environment.get(_LOCALHOST_ONLY) == "1"
    if of_the_user or (here_alone and environment.get(_STATIC_PEERS)):
        return
    if here_alone:
        environment.pop(_LOCALHOST_ONLY, None)
        environment[_RANGE] = "SYSTEM_DEFAULT"
        environment[_PROFILES_FILE] = str(_LOCALHOST_BY_UDP)
    else:
        environment.pop(_PROFILES_FILE, None)
        environment[_BUILTIN] = "UDPv4"
