"""``nsi tasks``: lists all tasks and why a plugin does not work, or checks one task."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nsi_cli.cli.context import AppContext, context_of
from nsi_cli.cli.output import print_json
from nsi_cli.support.errors import ConfigError

_COLORS = {"ok": "green", "disabled": "yellow"}


def tasks(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Import each plugin in a child process again, to check that it does not crash or "
            "hang. New and changed plugins are always checked. NSI_PROBE_TIMEOUT is the time limit "
            "in seconds.",
        ),
    ] = False,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Check on a few scenes that a task meets the contract for plugins. Reports the "
            "first fault, with what to fix and where.",
        ),
    ] = None,
    raw: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="With --check: folder of raw scenes, for a task without synthetic ones.",
        ),
    ] = None,
) -> None:
    """List the tasks of all plugins, including broken ones."""
    context = context_of(ctx)
    if check is not None:
        _check(context, check, raw, as_json=as_json)
        return
    if raw is not None:
        raise ConfigError("--raw has no effect without --check", "name a task: --check NAME")
    rows = (context.find_tasks(probe_again=True) if probe else context.tasks).rows
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    if not rows:
        typer.echo("no tasks; make one with nsi new-task NAME")
    names, statuses = (
        max((len(getattr(row, column)) for row in rows), default=0) for column in ("name", "status")
    )
    for row in rows:
        name = typer.style(f"{row.name:<{names}}", bold=True)
        status = typer.style(f"{row.status:<{statuses}}", fg=_COLORS.get(row.status, "red"))
        version = f" {row.version}" if row.version else ""
        typer.echo(f"{name}  {status}  {row.summary}".rstrip())
        typer.echo(f"    {row.source}{version}  {row.path}".rstrip())
        if row.reason:
            typer.echo(f"    {row.reason}")


def _check(context: AppContext, name: str, raw: Path | None, *, as_json: bool) -> None:
    """Check one task. Raises `PluginError` at its first fault."""
    from nsi_cli import api

    api.check_task(name, raw=raw, tasks=context.tasks)
    if as_json:
        print_json({"task": name, "ok": True})
    else:
        typer.echo(f"{name}: meets the contract")
