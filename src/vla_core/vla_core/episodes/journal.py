"""The journal of an episode while it is recorded: every row as soon as it is there, whatever state the HDF5 file is in.

HDF5 changes a file's structure in several places, and a process killed in between leaves a file that cannot be read; a disk that
loses its power may keep some of them and not others. The journal is only appended to, in records that carry their length and
checksum. A row's record holds its numbers, and for each image where it lies in the partial file and a checksum. With it an
episode is made anew from the images alone. It is removed with the partial file.
"""

from __future__ import annotations

import dataclasses
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from vla_core.action_chunk import ActionChunk
from vla_core.episodes.beside import Beside, NativeSamples, RolloutChunk
from vla_core.episodes.tables import TABLES, Row, table_of
from vla_core.errors import EpisodeError

_FORMAT = "vla/journal/1"
_FRAME = struct.Struct("<cII")  # kind, length and checksum of what follows
_IMAGE = struct.Struct("<QIIII")
_BEGIN, _ROW, _PROMPT, _NATIVE, _CHUNK, _TABLE = b"B", b"R", b"P", b"N", b"C", b"T"
_SMALL = 512 * 1024  # [B]
_SAMPLED = 256  # of larger data every 256th word of eight bytes: two of each page that a disk may lose


class ImagePlace(NamedTuple):
    """Where an image lies in the partial file.

    Attributes:
        offset: of its chunk [B].
        size: of its chunk [B].
        skipped: HDF5's filter mask of the chunk.
        length: size of a JPEG file [B]; else 0.
        checksum: of the chunk, as :func:`checksum_of` makes it.
    """

    offset: int
    size: int
    skipped: int
    length: int
    checksum: int


class JournalRow(NamedTuple):
    """A row: its numbers, and its images in the order of their datasets."""

    numbers: bytes
    images: tuple[ImagePlace, ...]


@dataclass
class JournalContents:
    """What a journal holds.

    Attributes:
        attributes: of the episode at its beginning.
        rows: in order.
        prompts: all prompts so far, in the order of their first use.
        beside: what was recorded beside the rows, in order.
    """

    attributes: dict[str, Any]
    rows: list[JournalRow] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    beside: list[Beside] = field(default_factory=list)


class Journal:
    """Appends to a new journal. Everything raises OSError if the disk cannot be written."""

    def __init__(self, path: Path, attributes: dict[str, Any]) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o666)
        try:
            self._write(_BEGIN, json.dumps({"format": _FORMAT, "attributes": attributes}).encode())
        except OSError:
            self.remove()
            raise

    @property
    def descriptor(self) -> int:
        return self._descriptor

    def add_row(self, row: JournalRow) -> None:
        self._write(_ROW, bytes([len(row.images)]), *[_IMAGE.pack(*image) for image in row.images], row.numbers)

    def add_prompt(self, prompt: str) -> None:
        self._write(_PROMPT, prompt.encode())

    def add_beside(self, record: Beside) -> None:
        if isinstance(record, NativeSamples):
            self._write(_NATIVE, *_native_parts(record))
        elif isinstance(record, RolloutChunk):
            self._write(_CHUNK, *_chunk_parts(record))
        else:
            self._write(_TABLE, json.dumps([table_of(record).group, dataclasses.asdict(record)]).encode())

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        self.close()
        self._path.unlink(missing_ok=True)

    def _write(self, kind: bytes, *parts: bytes) -> None:
        payload = b"".join(parts)
        record = _FRAME.pack(kind, len(payload), isal_zlib.crc32(payload)) + payload
        rest = memoryview(record)
        while rest:  # a disk that is nearly full takes a part; the next write says why
            rest = rest[os.write(self._descriptor, rest) :]


def checksum_of(data: bytes | memoryview | NDArray[Any]) -> int:
    """A checksum that notices pages of a file that were lost. Of an uncompressed image it costs a hundredth of writing it."""
    plain = np.frombuffer(data, np.uint8)
    if plain.size <= _SMALL:
        return int(isal_zlib.crc32(plain))
    words = plain[: plain.size // 8 * 8].view(np.uint64)
    return int(isal_zlib.crc32(plain[-512:], isal_zlib.crc32(words[::_SAMPLED].tobytes())))


def read_journal(path: Path) -> JournalContents | None:
    """Reads as much of a journal as is whole; None if there is none, or not even its beginning.

    Raises:
        EpisodeError: it cannot be read, or is of a format that is not known.
    """
    try:
        data = memoryview(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EpisodeError(f"{path}: cannot be read: {error.strerror or error}") from error
    records = _records(data)
    kind, payload = next(records, (b"", memoryview(b"")))
    if kind != _BEGIN:
        return None
    beginning = json.loads(bytes(payload))
    if beginning["format"] != _FORMAT:
        raise EpisodeError(f"{path}: expected a journal of format '{_FORMAT}', found '{beginning['format']}'")
    contents = JournalContents(beginning["attributes"])
    for kind, payload in records:
        if kind == _ROW:
            contents.rows.append(_row_of(payload))
        elif kind == _PROMPT:
            contents.prompts.append(bytes(payload).decode())
        elif kind == _NATIVE:
            contents.beside.append(_native_of(payload))
        elif kind == _CHUNK:
            contents.beside.append(_chunk_of(payload))
        elif kind == _TABLE:
            contents.beside.append(_table_row_of(payload))
    return contents


def _records(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    position = 0
    while position + _FRAME.size <= len(data):
        kind, length, checksum = _FRAME.unpack_from(data, position)
        payload = data[position + _FRAME.size : position + _FRAME.size + length]
        if len(payload) < length or isal_zlib.crc32(payload) != checksum:
            return
        yield kind, payload
        position += _FRAME.size + length


def _row_of(payload: memoryview) -> JournalRow:
    first = 1 + payload[0] * _IMAGE.size
    places = tuple(ImagePlace(*found) for found in _IMAGE.iter_unpack(payload[1:first]))
    return JournalRow(bytes(payload[first:]), places)


def _native_parts(record: NativeSamples) -> tuple[bytes, ...]:
    head = json.dumps({"stream": record.stream, "shape": record.values.shape}).encode()
    arrays = (record.stamps_ns.astype("<i8"), record.receive_ns.astype("<i8"), record.values.astype("<f8"))
    return (struct.pack("<I", len(head)), head, *(array.tobytes() for array in arrays))


def _native_of(payload: memoryview) -> NativeSamples:
    head, rest = _headed(payload)
    count, size = head["shape"]
    times = np.frombuffer(rest, "<i8", 2 * count)
    values = np.frombuffer(rest, "<f8", count * size, offset=16 * count).reshape(count, size)
    return NativeSamples(head["stream"], times[:count], times[count:], values)


def _chunk_parts(record: RolloutChunk) -> tuple[bytes, ...]:
    chunk = record.chunk
    head = {
        "names": chunk.names,
        "shape": chunk.actions.shape,
        "start_ns": chunk.start_ns,
        "step_ns": chunk.step_ns,
        "observation_ns": chunk.observation_ns,
        "policy_id": chunk.policy_id,
        "sequence": chunk.sequence,
        "inference_latency_ns": chunk.inference_latency_ns,
        "receive_ns": record.receive_ns,
        "strategy": record.strategy,
        "shadow": record.shadow,
    }
    text = json.dumps(head).encode()
    return struct.pack("<I", len(text)), text, chunk.actions.astype("<f8").tobytes()


def _chunk_of(payload: memoryview) -> RolloutChunk:
    head, rest = _headed(payload)
    beside = {name: head.pop(name) for name in ("receive_ns", "strategy", "shadow")}
    actions = np.frombuffer(rest, "<f8").reshape(head.pop("shape"))
    return RolloutChunk(ActionChunk(actions=actions, **{**head, "names": tuple(head["names"])}), **beside)


def _table_row_of(payload: memoryview) -> Row:
    group, values = json.loads(bytes(payload))
    return next(spec.row for spec in TABLES if spec.group == group)(**values)


def _headed(payload: memoryview) -> tuple[dict[str, Any], memoryview]:
    """A JSON object with its length before it, and what follows."""
    size = struct.unpack_from("<I", payload)[0]
    return json.loads(bytes(payload[4 : 4 + size])), payload[4 + size :]
