"""``nsi export RUN``: a folder with the model, for a model hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nsi_cli import api
from nsi_cli.cli.context import context_of


def export(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="The run's folder.", metavar="RUN")],
    to: Annotated[Path, typer.Option(help="The new folder.", metavar="DIR")],
    data: Annotated[
        Path | None, typer.Option(help="The run's store, if it was moved.", metavar="DIR")
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="NAME", help="Checkpoint: best, last, or a step-… that is kept.")
    ] = "best",
) -> None:
    """Export a run: weights, options, schema and a model card, which open without the store."""
    context = context_of(ctx)
    path = api.export(
        run,
        to,
        data=data,
        checkpoint=checkpoint,
        tasks=context.tasks,
        progress=context.progress,
    )
    typer.echo(str(path))
