"""``nsi interpret RUN``: one page that shows what the slots hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nsi_cli import api
from nsi_cli.cli.context import context_of
from nsi_cli.cli.flags import default_shown


def interpret(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="The run's folder.", metavar="RUN")],
    split: Annotated[str, typer.Option(help="Split whose scenes are shown and searched.")] = "test",
    image: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="An image of your own to show; can be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the page." + default_shown("RUN/report"))
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Another store of the same schema.")] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="NAME", help="Checkpoint: best, last, or a step-… that is kept.")
    ] = "best",
    scenes: Annotated[int, typer.Option(min=1, max=1000, help="How many scenes are shown.")] = 12,
    top: Annotated[
        int, typer.Option(min=1, max=1000, help="How many retrieved scenes are shown.")
    ] = 5,
    batch_size: Annotated[
        int, typer.Option(min=1, max=65_536, help="Scenes that are read at once.")
    ] = 64,
) -> None:
    """Show scenes with their slots, aligned primitives and retrieved images, as one HTML page."""
    context = context_of(ctx)
    page = api.interpret(
        run,
        split=split,
        images=image or [],
        out=out,
        data=data,
        checkpoint=checkpoint,
        scenes=scenes,
        top=top,
        batch_size=batch_size,
        tasks=context.tasks,
        progress=context.progress,
    )
    typer.echo(str(page))
