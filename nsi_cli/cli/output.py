"""What goes to stdout, one JSON document or a table, and a terminal that is closed meanwhile."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Sequence
from typing import Any

import typer


def print_json(data: Any) -> None:
    """Print exactly one JSON document."""
    import json

    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: Sequence[int] = (),
    notes: Sequence[str] = (),
) -> None:
    """Print a table: the first column and those of ``left`` to the left, all others to the right.

    The title is a line of its own, which a narrow table does not break. The notes below are
    wrapped to the terminal's width.
    """
    from textwrap import fill

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if title:
        console.print(Text(title, "italic"), soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        left_aligned = index in (0, *left)
        table.add_column(column, justify="left" if left_aligned else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
    if notes:
        console.print()
    for note in notes:
        lines = fill(
            note, console.width, subsequent_indent="  ", break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip
        console.print(Text(lines), soft_wrap=True)


def print_csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table as CSV."""
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def print_latex(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table as a LaTeX tabular with the rules of the package booktabs."""
    lines = [" & ".join(map(_as_latex, row)) + r" \\" for row in (columns, *rows)]
    head, *body = lines
    sides = "l" + "r" * (len(columns) - 1)
    begin, end = rf"\begin{{tabular}}{{{sides}}}", r"\end{tabular}"
    typer.echo("\n".join([begin, r"\toprule", head, r"\midrule", *body, r"\bottomrule", end]))


def _as_latex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {sign: f"\\{sign}" for sign in "&%$#_{}"}
    special |= {"±": r"$\pm$", "→": r"$\to$"}
    return "".join(special.get(sign, sign) for sign in text)


def survive_closed_terminal() -> None:
    """Drop what is written to a closed terminal.

    Otherwise the write fails with EIO, and with it the command, which has work to save first.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and stream.isatty():
            raw = io.BufferedWriter(_Terminal(stream.fileno(), "w", closefd=False))
            lines = io.TextIOWrapper(raw, stream.encoding, stream.errors, line_buffering=True)
            setattr(sys, name, lines)


class _Terminal(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return memoryview(data).nbytes
