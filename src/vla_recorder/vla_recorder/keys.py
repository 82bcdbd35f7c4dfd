"""From the bytes that a terminal sends to keys."""

from __future__ import annotations

import codecs
import re

ESCAPE = "escape"

_CONTROL = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\t": "tab", "\x1b": ESCAPE}
# What xterm, VT220 and the Linux console send; tmux, screen and ssh pass it on.
_SEQUENCES = {
    "[A": "up", "[B": "down", "[C": "right", "[D": "left", "[H": "home", "[F": "end",
    "OA": "up", "OB": "down", "OC": "right", "OD": "left", "OH": "home", "OF": "end",
    "[1~": "home", "[7~": "home", "[4~": "end", "[8~": "end", "[3~": "delete",
}  # fmt: skip
_SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[@-~]|O[A-Za-z])")
_BEGUN = re.compile(r"\x1b(\[[0-9;?]*|O)?")


class KeyDecoder:
    """Turns bytes into keys: a character for itself, else a name such as ``enter``, ``left``, ``escape`` or ``ctrl-u``.

    An escape sequence or a character of several bytes may come in pieces. A lone escape cannot be told from the beginning of a
    sequence, except that nothing follows: call :meth:`flush` when nothing has come for a while.
    """

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="ignore").decode
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """The keys that are complete with these bytes. Unknown sequences are no keys."""
        text, self._rest = self._rest + self._decode(data), ""
        keys = []
        while text:
            if text[0] == "\x1b" and _BEGUN.fullmatch(text):
                self._rest = text
                break
            sequence = _SEQUENCE.match(text)
            if sequence:
                keys.append(_SEQUENCES.get(sequence.group(1), ""))
                text = text[sequence.end() :]
            else:
                keys.append(_name(text[0]))
                text = text[1:]
        return [key for key in keys if key]

    def flush(self) -> list[str]:
        """The keys that a sequence is which was begun and did not go on: the escape, and what came after it."""
        keys, self._rest = [_name(character) for character in self._rest], ""
        return keys


def _name(character: str) -> str:
    if character in _CONTROL:
        return _CONTROL[character]
    if "\x01" <= character <= "\x1a":
        return f"ctrl-{chr(ord(character) + ord('a') - 1)}"
    return character if character >= " " else ""
