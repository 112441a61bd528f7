"""Progress reports of long operations; the command line displays them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """A function that reports completed items of a stage."""

    def __call__(self, count: int, text: str = "") -> None:
        """Report ``count`` more completed items, and a text to show next to the progress bar."""


def _silent(count: int, text: str = "") -> None:
    pass


def counted(count: int, unit: str) -> str:
    """Return a count with its unit, a plural with -s: ``1 scene``, ``1,200 scenes``."""
    return f"{count:,} {unit.removesuffix('s') if count == 1 else unit}"


class Progress:
    """Progress that shows nothing; a subclass of the command line shows it."""

    @contextmanager
    def stage(
        self, what: str, total: int, unit: str = "scenes", done: int = 0
    ) -> Iterator[Advance]:
        """Start a stage of ``total`` items in ``unit`` ("B": bytes); ``done`` are complete."""
        yield _silent

    def note(self, text: str) -> None:
        """Show a message of one line."""


SILENT = Progress()
