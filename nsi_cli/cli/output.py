"""What goes to stdout: one JSON document, or a table for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer


def print_json(data: Any) -> None:
    """Print exactly one JSON document."""
    import json

    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: the first column to the left, all others to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
