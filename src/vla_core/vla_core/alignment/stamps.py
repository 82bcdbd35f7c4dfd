"""Which time a message's values belong to."""

from __future__ import annotations

from vla_core.alignment.monitor import JUMP_NS
from vla_core.embodiment.schema import Camera, DepthCamera, Stream
from vla_core.errors import StreamError


def stamp_of(name: str, source: Camera | DepthCamera | Stream, header_ns: int | None, receive_ns: int) -> int:
    """The stamp of a message, as the embodiment declares it for its stream [ns].

    Args:
        name: of the stream.
        source: what the embodiment says about it.
        header_ns: the stamp in the message's header [ns]; None if the message has no header.
        receive_ns: when it came [ns].

    Raises:
        StreamError: the header's stamp is declared, and there is none, or nobody has set it.
    """
    if source.stamp == "arrival":
        return receive_ns
    advice = "or 'stamp: arrival' in the embodiment"
    if header_ns is None:
        raise StreamError(f"stream '{name}' ({source.topic}): expected messages with a header, {advice}")
    if header_ns == 0 and receive_ns > JUMP_NS:  # a simulated clock may begin at 0
        raise StreamError(
            f"stream '{name}' ({source.topic}): the header's stamp is 0; expected the time of the values, {advice}"
        )
    return header_ns
