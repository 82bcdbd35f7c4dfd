"""One line of text that is being typed."""

from __future__ import annotations


class LineEditor:
    """Edits a line, key by key, as shells do: arrows, home, end, backspace, delete, and control with a, e, k, u, w.

    Attributes:
        text: what was typed so far.
        cursor: before which character of ``text`` the next one goes.
    """

    def __init__(self, earlier: str = "") -> None:
        """Begins with an empty line; the key ``up`` fetches the earlier one for editing."""
        self.text = ""
        self.cursor = 0
        self._earlier = earlier

    def press(self, key: str) -> None:
        """Takes a key: a character, or a name of :mod:`vla_recorder.keys`. Keys without a meaning here do nothing."""
        if len(key) == 1:
            if key.isprintable():
                self._replace(self.cursor, self.cursor, key)
            return
        match key:
            case "backspace":
                self._replace(max(0, self.cursor - 1), self.cursor)
            case "delete":
                self._replace(self.cursor, self.cursor + 1)
            case "ctrl-u":
                self._replace(0, self.cursor)
            case "ctrl-k":
                self._replace(self.cursor, len(self.text))
            case "ctrl-w":
                self._replace(self._word_start(), self.cursor)
            case "up":
                self.text, self.cursor = self._earlier, len(self._earlier)
            case "left" | "right" | "home" | "end" | "ctrl-a" | "ctrl-e":
                self.cursor = self._moved(key)

    def _replace(self, start: int, stop: int, by: str = "") -> None:
        self.text = self.text[:start] + by + self.text[stop:]
        self.cursor = start + len(by)

    def _moved(self, key: str) -> int:
        places = {
            "left": max(0, self.cursor - 1),
            "right": min(len(self.text), self.cursor + 1),
            "home": 0,
            "ctrl-a": 0,
        }
        return places.get(key, len(self.text))

    def _word_start(self) -> int:
        before = self.text[: self.cursor].rstrip()
        return len(before) - len(before.split(" ")[-1])
