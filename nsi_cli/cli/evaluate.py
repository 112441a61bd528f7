"""``nsi eval RUN``: the metrics of a split, as a table and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nsi_cli import api
from nsi_cli.cli.context import context_of
from nsi_cli.cli.flags import default_shown
from nsi_cli.cli.output import print_json, print_table


def evaluate(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="The run's folder.", metavar="RUN")],
    split: Annotated[str, typer.Option(help="Split to evaluate on.")] = "test",
    data: Annotated[Path | None, typer.Option(help="Another store of the same schema.")] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="NAME", help="Checkpoint: best, last, or a step-… that is kept.")
    ] = "best",
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Only this part of the suite: {', '.join(api.METRIC_NAMES)}; can be repeated."
            + default_shown("all")
        ),
    ] = None,
    kmeans_scenes: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Most scenes that k-means is run on.")
    ] = api.KMEANS_SCENES,
    batch_size: Annotated[
        int, typer.Option(min=1, max=65_536, help="Scenes that are read at once.")
    ] = 64,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, not as a table.")
    ] = False,
) -> None:
    """Evaluate a run's best checkpoint: retrieval, grounding, segmentation, properties.

    The result of the whole suite is also written to RUN/eval/SPLIT.json, of another checkpoint
    or store to RUN/eval/SPLIT-NAME.json; beside it, a CSV has a row for each scene, another for
    each object.
    """
    context = context_of(ctx)
    result = api.evaluate(
        run,
        split=split,
        data=data,
        checkpoint=checkpoint,
        metrics=metric,
        kmeans_scenes=kmeans_scenes,
        batch_size=batch_size,
        tasks=context.tasks,
        progress=context.progress,
    ).result
    if as_json:
        print_json(result)
        return
    print_result(result)
    chosen: list[object] = [] if checkpoint == "best" else ["--checkpoint", checkpoint]
    chosen += [] if data is None else ["--data", data]
    context.progress.note("next: " + context.command("interpret", run, *chosen))


def print_result(result: dict[str, Any]) -> None:
    """Print a result as a table, and below it what a reader must know of it."""
    table = api.result_table(result)
    title = f"{result['task']}, {result['split']}: {result['scenes']:,} scenes"
    print_table(title, table.columns, table.rows, notes=table.notes)
