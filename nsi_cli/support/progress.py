"""How long operations report progress. The command line shows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Reports further items of a stage."""

    def __call__(self, count: int, text: str = "") -> None:
        """Report ``count`` further items, and a text to show beside the bar."""


def _silent(count: int, text: str = "") -> None:
    pass


class Progress:
    """Progress that shows nothing; the command line has one that draws."""

    @contextmanager
    def stage(
        self, what: str, total: int, unit: str = "scenes", done: int = 0
    ) -> Iterator[Advance]:
        """Begin a stage of ``total`` items of ``unit`` ("B": bytes), of which ``done`` are done."""
        yield _silent

    def note(self, text: str) -> None:
        """Show one line beside the progress."""


SILENT = Progress()
