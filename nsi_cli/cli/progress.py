"""Progress on stderr: Rich bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.progress import Task as RichTask
from rich.text import Text

from nsi_cli.support.progress import SILENT, Advance, Progress

SECONDS_BETWEEN_LINES = 10.0
SECONDS_OF_PACE = 60.0
"""The time left follows the rate of so many last seconds: other work comes and goes."""
BYTES = "B"
"""The unit of stages that count bytes: they are shown in kB, MB, GB."""


class _Done(ProgressColumn):
    """How many items of all are done."""

    def render(self, task: RichTask) -> Text:
        return Text(_done(task.completed, task.total or 0, task.fields["unit"]), style="green")


class _Rate(ProgressColumn):
    """Items a second."""

    def render(self, task: RichTask) -> Text:
        if not task.speed:
            return Text("")
        return Text(_rate(task.speed, task.fields["unit"]), style="dim")


def _done(done: float, total: float, unit: str) -> str:
    """How many of all; bytes in the unit that suits them all."""
    if unit != BYTES:
        return f"{done:.0f}/{total:.0f}"
    amount, name = decimal(round(total)).split()
    return f"{done * float(amount) / total if total else 0:.1f}/{amount} {name}"


def _rate(speed: float, unit: str) -> str:
    """Items a second; if it is slow, seconds an item."""
    if unit == BYTES:
        return f"{decimal(round(speed))}/s"
    if speed < 0.95:
        return f"{1 / speed:,.1f} s/{unit.removesuffix('s')}" if speed > 0 else f"0 {unit}/s"
    return f"{speed:,.{0 if speed >= 9.5 else 1}f} {unit}/s"


def _seconds(count: float) -> str:
    """A time, to the second or, if it is long, to the minute."""
    minutes = round(count / 60)
    if minutes < 10:
        return f"{count:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


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
            _Done(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[text]}"),
            console=self._console,
            speed_estimate_period=SECONDS_OF_PACE,
        )
        with bar:
            task = bar.add_task(what, total=total, completed=done, unit=unit, text="")

            def advance(count: int, text: str = "") -> None:
                bar.update(task, advance=count, text=text)

            yield advance

    def note(self, text: str) -> None:
        """Print one line above the bars."""
        style = "yellow" if text.startswith("warning") else None
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


class LineProgress(Progress):
    """A line every few seconds, and one at a stage's end unless the last one has said it."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def stage(
        self, what: str, total: int, unit: str = "scenes", done: int = 0
    ) -> Iterator[Advance]:
        """Print lines while the body runs."""
        began = time.monotonic()
        lines = deque([(began, done)])
        last_text = ""

        def line(since: tuple[float, int]) -> None:
            now = time.monotonic()
            rate = (done - since[1]) / max(now - since[0], 1e-6)
            left = f", {_seconds((total - done) / rate)} left" if done < total and rate > 0 else ""
            suffix = f"  {last_text}" if last_text else ""
            items = "" if unit == BYTES else f" {unit.removesuffix('s') if total == 1 else unit}"
            self.note(
                f"{what}: {_done(done, total, unit)}{items} in {_seconds(now - began)}, "
                f"{_rate(rate, unit)}{left}{suffix}"
            )

        def advance(count: int, text: str = "") -> None:
            nonlocal done, last_text
            done, last_text = done + count, text
            now = time.monotonic()
            if now - lines[-1][0] >= SECONDS_BETWEEN_LINES:
                while len(lines) > 1 and lines[1][0] <= now - SECONDS_OF_PACE:
                    lines.popleft()
                line(lines[0])
                lines.append((now, done))

        first = lines[0]
        yield advance
        if len(lines) == 1 or lines[-1][1] != done:
            line(first)

    def note(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def make_progress(*, quiet: bool) -> Progress:
    """What suits stderr."""
    console = Console(stderr=True)
    if quiet:
        return SILENT
    return BarProgress(console) if console.is_terminal else LineProgress(console)
