"""``nsi export RUN``: a folder with the model, for a model hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nsi_cli import api
from nsi_cli.cli.context import context_of


def export(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    to: Annotated[Path, typer.Option(help="Folder to create.", metavar="DIR")],
    data: Annotated[
        Path | None, typer.Option(help="The run's store, if it has moved.", metavar="DIR")
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="NAME", help="Checkpoint: best, last, or a kept step-….")
    ] = "best",
) -> None:
    """Export a run to a folder that can be used without its store.

    The folder has the weights, the options, the schema and a model card.
    """
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
