"""Where a remote policy is: ``ws://host:8000`` (openpi), ``wss://`` the same with TLS, ``zmq://host:5555`` (GR00T)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from vla_core.errors import ConfigError, choice

TOKEN_VARIABLE = "VLA_POLICY_TOKEN"
DEADLINE_MS = 1000.0
_PORTS = {"ws": 8000, "wss": 443, "zmq": 5555}
_KEYS = ("deadline_ms", "mapping", "token_file")
_MAX_TOKEN = 4096


@dataclass(frozen=True)
class Address:
    """A server, and how to speak to it.

    Attributes:
        scheme: ``ws``, ``wss`` or ``zmq``.
        host: name or address.
        port: TCP port.
        mapping: file that says what the server's names mean; None: the server says so.
        deadline_s: a request that takes longer has failed [s].
        token: proves who asks; empty: none.
    """

    scheme: str
    host: str
    port: int
    mapping: Path | None = None
    deadline_s: float = DEADLINE_MS * 1e-3
    token: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """Of the server, without anything else."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tcp' if self.scheme == 'zmq' else self.scheme}://{host}:{self.port}"


def is_remote(policy: str) -> bool:
    """Whether a policy is named by the address of its server."""
    return policy.partition("://")[0] in _PORTS and "://" in policy


def parse_address(text: str, environment: Mapping[str, str] = os.environ) -> Address:
    """Reads an address as it is given to ``policy:=``, and the token that belongs to it.

    Args:
        text: ``scheme://host:port?mapping=FILE&token_file=FILE&deadline_ms=500``, all but scheme and host optional.
        environment: has the token under :data:`TOKEN_VARIABLE`, if no file has it.

    Raises:
        ConfigError: it is no such address, or a file that it names cannot be read.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{text}: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/") or parts.fragment:
        raise ConfigError(f"policy: expected ws://HOST:PORT, wss://HOST:PORT or zmq://HOST:PORT, found '{text}'")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"policy: expected no secret in the address, where every user of this machine can read it; use token_file= or "
            f"the environment's {TOKEN_VARIABLE}"
        )
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(given) - set(_KEYS)):
        raise ConfigError(f"{text}: expected {choice(_KEYS)}, found '{unknown[0]}'")
    token = read_token(Path(given["token_file"])) if "token_file" in given else environment.get(TOKEN_VARIABLE, "")
    mapping = Path(given["mapping"]) if "mapping" in given else None
    return Address(
        parts.scheme,
        parts.hostname,
        port or _PORTS[parts.scheme],
        mapping,
        _deadline_s(given.get("deadline_ms")),
        token,
    )


def read_token(path: Path) -> str:
    """The token in a file: its only line.

    Raises:
        ConfigError: it cannot be read, or is not one line of printable characters.
    """
    try:
        with path.open("rb") as file:
            token = file.read(_MAX_TOKEN + 1).decode("ascii", "replace").strip()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not token or len(token) > _MAX_TOKEN or not token.isascii() or not token.isprintable():
        raise ConfigError(f"{path}: expected a token: one line of printable ASCII characters")
    return token


def _deadline_s(text: str | None) -> float:
    if text is None:
        return DEADLINE_MS * 1e-3
    try:
        milliseconds = float(text)
    except ValueError:
        milliseconds = 0.0
    if not 0 < milliseconds <= 600_000:
        raise ConfigError(f"deadline_ms: expected milliseconds, more than 0 and at most 600000, found '{text}'")
    return milliseconds * 1e-3
