"""``nsi interpret RUN``: pages and tables that show what the slots represent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nsi_cli import api
from nsi_cli.cli.context import context_of
from nsi_cli.cli.flags import default_shown
from nsi_cli.cli.output import print_table
from nsi_cli.support.errors import ConfigError
from nsi_cli.support.progress import SILENT


def interpret(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    split: Annotated[
        str, typer.Option(metavar="NAME", help="Split whose scenes are shown and searched.")
    ] = "test",
    image: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Your own image to describe and show; can be repeated."),
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="Find images with this object, for example 'large sphere'; can be repeated.",
        ),
    ] = None,
    figures: Annotated[
        bool,
        typer.Option(
            "--figures",
            help="Also write the figures of the evaluation to OUT/figures: SVG, PNG, and CSV.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the page." + default_shown("RUN/report")),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Store to take scenes from, with the run's schema."
            + default_shown("the run's own"),
        ),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="NAME", help="Checkpoint: best, last, or a kept step-….")
    ] = "best",
    scenes: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Number of scenes to show.")
    ] = 12,
    top: Annotated[
        int,
        typer.Option(min=1, max=1000, metavar="N", help="Number of retrieved scenes to show."),
    ] = 5,
    batch_size: Annotated[
        int,
        typer.Option(min=1, max=65_536, metavar="N", help="Number of scenes per batch."),
    ] = 64,
) -> None:
    """Write a report as one HTML page: scenes with their slots, objects and retrieved images.

    The page is OUT/index.html. Run nsi eval first, and it shows the metrics
    too. An existing page is replaced.

    With --query, the page is OUT/queries.html instead and shows the images
    that match. A query lists values in any order ('small cube'). A value can
    be shortened to a part that no other value has, or written as
    PROPERTY=VALUE ('position=1,0,0.5').

    With --image, a table also lists what each slot of your image shows, with
    probabilities, and how familiar the slot is: the share of training objects
    whose slots score lower. The page shows your image on top.

    With --figures, the figures of the evaluation are written too: R@k, the
    measures of properties, the distribution of FG-ARI, and a confusion matrix
    of each property, each with its data as CSV. This needs the result of nsi
    eval. Tables and figures number slots from 1, CSV files from 0.
    """
    context = context_of(ctx)
    if query and (image or figures):
        other = "--image" if image else "--figures"
        raise ConfigError(f"--query and {other} exclude each other", "give only one of them")
    loaded = api.load_run(
        run, data=data, checkpoint=checkpoint, tasks=context.tasks, progress=context.progress
    )
    shared: dict[str, Any] = {
        "split": split,
        "batch_size": batch_size,
        "progress": context.progress,
    }
    if query:
        answers = api.ask(loaded, query, out=out, top=top, **shared)
        for number, found in enumerate(answers.found, start=1):
            table = api.answer_table(found)
            # The meaning of the columns stands below the last table.
            notes = table.notes[: None if number == len(answers.found) else 1]
            print_table(found.query, table.columns, table.rows, notes=notes)
        typer.echo(str(answers.page))
        return
    # An export without its store has no page. A page notes the same as the table, so only once.
    alone = bool(image) and loaded.opened is None and not figures and out is None
    shown = context.progress if alone else SILENT
    for one in api.describe(loaded, image, progress=shown) if image else ():
        table = api.description_table(one)
        left = range(2, len(table.columns) - 1)
        print_table(one.name, table.columns, table.rows, left=left, notes=table.notes)
    if alone:
        context.progress.note("note: without a store there is no page; name one with --data DIR")
        return
    drawn = api.figures(loaded, **shared) if figures else None
    page = api.interpret(loaded, images=image or [], out=out, scenes=scenes, top=top, **shared)
    if drawn is not None:
        for name, reason in drawn.missing.items():
            context.progress.note(f"note: no figure {name}: {reason}")
        for path in drawn.save(page.parent / "figures"):
            typer.echo(str(path))
    typer.echo(str(page))
