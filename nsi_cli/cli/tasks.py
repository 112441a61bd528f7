"""``nsi tasks``: lists all tasks, and why a plugin does not work."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from nsi_cli.cli.context import context_of
from nsi_cli.cli.output import print_json

_COLORS = {"ok": "green", "disabled": "yellow"}


def tasks(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Check again in a child process that importing each plugin is harmless. New and "
            "changed plugins are always checked; NSI_PROBE_TIMEOUT is the limit in seconds.",
        ),
    ] = False,
) -> None:
    """List the tasks of all plugins, broken ones too."""
    context = context_of(ctx)
    rows = (context.find_tasks(probe_again=True) if probe else context.tasks).rows
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    if not rows:
        typer.echo("no tasks; make one with nsi new-task NAME")
    for row in rows:
        status = typer.style(row.status, fg=_COLORS.get(row.status, "red"))
        version = f" {row.version}" if row.version else ""
        typer.echo(f"{typer.style(row.name, bold=True)}  {status}  {row.summary}".rstrip())
        typer.echo(f"    {row.source}{version}  {row.path}".rstrip())
        if row.reason:
            typer.echo(f"    {row.reason}")
