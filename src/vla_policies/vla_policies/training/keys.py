"""Parts of a network by the names of its modules and parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from torch import nn

from vla_core.errors import ConfigError

_SHOWN = 8


class Keys:
    """Patterns such as ``encoder.layers.*.linear1``.

    ``*`` stands for a part of a name between two dots, or all of it, and ``**`` for any number of names. A pattern means a module
    or a parameter and all that is beneath it.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        self._expressions = [re.compile(_expression(pattern)) for pattern in patterns]

    def exactly(self, name: str) -> bool:
        """Whether a pattern means this very name."""
        return any(expression.fullmatch(name) for expression in self._expressions)

    def covers(self, name: str) -> bool:
        """Whether a pattern means this name or one that it is beneath."""
        return any(self._covers(expression, name) for expression in self._expressions)

    def require_all(self, names: Iterable[str], where: str, what: str) -> None:
        """Checks that every pattern covers one of the names.

        Raises:
            ConfigError: with ``where`` the pattern stands, ``what`` it should mean, and the parts that there are.
        """
        names = list(names)
        for pattern, expression in zip(self.patterns, self._expressions, strict=True):
            if not any(self._covers(expression, name) for name in names):
                raise ConfigError(f"{where}: expected {what}, found '{pattern}'; there are {_some(names)}")

    @staticmethod
    def _covers(expression: re.Pattern[str], name: str) -> bool:
        parts = name.split(".")
        return any(expression.fullmatch(".".join(parts[: end + 1])) for end in range(len(parts)))


def modules(network: nn.Module, keys: Keys) -> dict[str, nn.Module]:
    """The modules that patterns mean, those beneath them not."""
    return {name: module for name, module in network.named_modules() if keys.exactly(name)}


def _expression(pattern: str) -> str:
    *before, last = pattern.split(".")
    beginning = "".join(r"(?:[^.]+\.)*" if name == "**" else _name(name) + r"\." for name in before)
    return beginning + (".+" if last == "**" else _name(last))


def _name(name: str) -> str:
    return re.escape(name).replace(r"\*", "[^.]*")


def _some(names: Sequence[str]) -> str:
    """The first names, numbers as ``*``, each once."""
    kinds = list(dict.fromkeys(re.sub(r"(?<=\.)\d+(?=\.|$)", "*", name) for name in names))
    return ", ".join(kinds[:_SHOWN]) + (f" and {len(kinds) - _SHOWN} more" if len(kinds) > _SHOWN else "")
