"""How long work tells how far it is; what shows it on a terminal is the command line's affair."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Told how many more items are done, and what there is to say of them."""

    def __call__(self, count: int, told: str = "") -> None:
        """``count`` more are done; ``told`` goes beside the bar."""


def _silent(count: int, told: str = "") -> None:
    pass


class Progress:
    """Silent progress; the command line brings one that draws."""

    @contextmanager
    def stage(
        self, what: str, total: int, unit: str = "scenes", done: int = 0
    ) -> Iterator[Advance]:
        """A stage of ``total`` items of ``unit`` ("B": bytes), ``done`` of them already there."""
        yield _silent

    def note(self, text: str) -> None:
        """Tell one line beside the progress."""


SILENT = Progress()
