"""Progress on stderr: Rich bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.progress import Task as RichTask
from rich.text import Text

from nsi_cli.progress import SILENT, Advance, Progress

SECONDS_BETWEEN_LINES = 10.0


class _Rate(ProgressColumn):
    """Items a second."""

    def render(self, task: RichTask) -> Text:
        if not task.speed:
            return Text("")
        return Text(f"{task.speed:,.0f} {task.fields['unit']}/s", style="dim")


class BarProgress(Progress):
    """A bar for each stage, with the rate and the time left."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def stage(
        self, what: str, total: int, unit: str = "scenes", done: int = 0
    ) -> Iterator[Advance]:
        """Draw a bar while the body runs."""
        bar = RichProgress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[told]}"),
            console=self._console,
            speed_estimate_period=60,
        )
        with bar:
            place = bar.add_task(what, total=total, completed=done, unit=unit, told="")

            def advance(count: int, told: str = "") -> None:
                bar.update(place, advance=count, told=told)

            yield advance

    def note(self, text: str) -> None:
        """Print one line above the bars."""
        style = "yellow" if text.startswith("warning") else None
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


class LineProgress(Progress):
    """A line at a stage's end and every few seconds before it."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def stage(
        self, what: str, total: int, unit: str = "scenes", done: int = 0
    ) -> Iterator[Advance]:
        """Print lines while the body runs."""
        began = last = time.monotonic()
        first, now_told = done, ""

        def line() -> None:
            seconds = max(time.monotonic() - began, 1e-6)
            rate = (done - first) / seconds
            left = f", {(total - done) / rate:.0f} s left" if 0 < done < total and rate else ""
            told = f"  {now_told}" if now_told else ""
            self.note(
                f"{what}: {done}/{total} {unit} in {seconds:.0f} s, {rate:.0f} {unit}/s{left}{told}"
            )

        def advance(count: int, told: str = "") -> None:
            nonlocal done, last, now_told
            done, now_told = done + count, told
            if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                line()

        yield advance
        line()

    def note(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def make_progress(*, quiet: bool) -> Progress:
    """What suits stderr."""
    console = Console(stderr=True)
    if quiet:
        return SILENT
    return BarProgress(console) if console.is_terminal else LineProgress(console)
