"""``nsi build-data TASK --check DIR``: read a store again, and print what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli import api
from nsi_cli.cli.context import context_of
from nsi_cli.cli.output import print_json
from nsi_cli.support.errors import ConfigError, DataError
from nsi_cli.support.progress import counted

if TYPE_CHECKING:
    from nsi_cli.data.check.result import CheckResult

_STYLES = {"ok": "green", "warnings": "yellow", "faults": "red", "left out": "dim"}


WITH_CHECK = frozenset({"check", "out", "seed", "as_json"})
"""The flags of ``nsi build-data TASK`` that have an effect with ``--check``."""


def check_and_print(
    ctx: Any, task: str, path: Path, *, sheet: Path | None, seed: int, as_json: bool
) -> None:
    """Check a store and print the results; draw a contact sheet if the store can be opened.

    Raises `ConfigError` for flags that have no effect, and `DataError` if there are faults.
    """
    _refuse_other_flags(ctx)
    progress = context_of(ctx).progress
    check = api.check_store(path, task=task, sheet=sheet, seed=seed, progress=progress)
    if as_json:
        print_json(check.to_json())
    else:
        print_results(path, check.results)
    if check.sheet is not None:
        progress.note(f"contact sheet: {check.sheet}")
    if check.faults:
        raise DataError(
            f"store {path} has {counted(check.faults, 'faults')}", "build it again with --force"
        )


def _refuse_other_flags(ctx: Any) -> None:
    """Raise `ConfigError` if a flag has no effect together with ``--check``."""
    others = [
        "--" + name.replace("_", "-")
        for name in ctx.params
        if name not in WITH_CHECK and ctx.get_parameter_source(name).name == "COMMANDLINE"
    ]
    if others:
        raise ConfigError(
            f"--check builds nothing: {' and '.join(others)} would be ignored",
            "remove it; --out, --seed and --json can be used with --check",
        )


def print_results(path: Path, results: Sequence[CheckResult]) -> None:
    """Print a line a check, and below each what it found."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(str(path), "bold"), soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("", overflow="fold")
    for result in results:
        table.add_row(result.name, Text(_said(result), _STYLES[result.status]), _details(result))
    console.print(table)


def _said(result: CheckResult) -> str:
    if result.faults:
        return counted(result.faults, "faults")
    return result.status


def _details(result: CheckResult) -> Any:
    """The checks that were made, or the faults and warnings, one per line."""
    from rich.text import Text

    if not result.begun:
        return Text(result.looked_at or "what it needs is missing or damaged", "dim")
    lines = [Text(result.looked_at, "dim")] if result.looked_at else []
    for style, examples, count in (
        ("red", result.examples, result.faults),
        ("yellow", result.warned, result.warnings),
    ):
        lines += [Text(example, style) for example in examples]
        if count > len(examples):
            lines.append(Text(f"… and {count - len(examples):,} more", style))
    return Text("\n").join(lines)
