"""What all conversions have in common: how they tell how far they are, and what they could not take along."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from vla_core.episodes import hdf5
from vla_core.errors import VlaError

T = TypeVar("T")


class FormatError(VlaError):
    """A data set of another format is missing, is broken, or does not hold what a conversion needs."""


class Progress(Protocol):
    """Is told how far long work is."""

    def begin(self, what: str, total: int | None) -> None:
        """A part of the work begins: ``total`` things are to be done, None if nobody knows."""
        ...

    def advance(self, count: int = 1) -> None: ...


class Silent:
    """Progress that nobody sees."""

    def begin(self, what: str, total: int | None) -> None:
        return

    def advance(self, count: int = 1) -> None:
        return


def tracked(items: Iterable[T], progress: Progress) -> Iterator[T]:
    """The same items; tells the progress of each that is done."""
    for item in items:
        yield item
        progress.advance()


@dataclass
class Report:
    """What a conversion made.

    Attributes:
        written: files or folders, in order.
        episodes: number of episodes.
        steps: number of rows of all of them.
        notes: what was left out, and what the source did not say; a line each.
    """

    written: list[Path] = field(default_factory=list)
    episodes: int = 0
    steps: int = 0
    notes: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Takes note of something, once."""
        if what not in self.notes:
            self.notes.append(what)


@contextmanager
def under_construction(target: Path) -> Iterator[Path]:
    """A path beside ``target`` to build a file or a folder at: it gets its name when the block ends well, and goes if not.

    Raises:
        FormatError: there is something at ``target`` already, or at the place beside it.
    """
    partial = target.with_name(target.name + ".partial")
    for taken in (target, partial):
        if taken.exists() and not (taken.is_dir() and not any(taken.iterdir())):
            kind = "a folder with something in it" if taken.is_dir() else "a file"
            raise FormatError(f"{taken}: expected nothing there, found {kind}; choose another name or remove it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        if target.is_dir():
            target.rmdir()
        partial.rename(target)
    except OSError as error:
        raise FormatError(f"{target}: cannot be written: {hdf5.reason_of(error)}") from error
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
