"""``nsi eval RUN``: the metrics of a split, as a table and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nsi_cli import api
from nsi_cli.cli.context import context_of
from nsi_cli.cli.flags import default_shown
from nsi_cli.cli.output import print_csv, print_json, print_latex, print_table
from nsi_cli.support.errors import ConfigError
from nsi_cli.support.progress import counted


def evaluate(
    ctx: typer.Context,
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folder of a run; several runs are compared.", metavar="RUN"),
    ],
    split: Annotated[str, typer.Option(metavar="NAME", help="Split to evaluate on.")] = "test",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Store to evaluate on, with the run's schema." + default_shown("the run's own"),
        ),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="NAME", help="Checkpoint: best, last, or a kept step-….")
    ] = "best",
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Evaluate only this part of the suite; can be repeated. One of: "
            f"{', '.join(api.METRIC_NAMES)}." + default_shown("all"),
        ),
    ] = None,
    kmeans_scenes: Annotated[
        int,
        typer.Option(
            min=1, max=1_000_000, metavar="N", help="Largest number of scenes for k-means."
        ),
    ] = api.KMEANS_SCENES,
    slot_samples: Annotated[
        int,
        typer.Option(
            min=1,
            max=1000,
            metavar="N",
            help="Number of random draws of the initial slots to average over.",
        ),
    ] = 1,
    mask_size: Annotated[
        int | None,
        typer.Option(
            min=8,
            max=4096,
            metavar="N",
            help="Side in pixels at which segments are compared."
            + default_shown("that of the store's masks"),
        ),
    ] = None,
    controls: Annotated[
        bool,
        typer.Option(
            "--controls",
            help="Also evaluate controls: cases with a known outcome, such as untrained weights.",
        ),
    ] = False,
    batch_size: Annotated[
        int,
        typer.Option(min=1, max=65_536, metavar="N", help="Number of scenes per batch."),
    ] = 64,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, not as a table.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the table as CSV.")] = False,
    as_latex: Annotated[
        bool, typer.Option("--latex", help="Print the table as LaTeX (booktabs).")
    ] = False,
) -> None:
    """Evaluate runs: retrieval, grounding, segmentation, properties, probes.

    Prints a table. The result of the whole suite is also written to
    RUN/eval/SPLIT.json, or to RUN/eval/SPLIT-NAME.json for another checkpoint
    or store. Two CSV files beside it have a row for each scene and a row for
    each object. JSON and CSV number slots from 0; tables and figures number
    them from 1.

    With several runs, the table compares them: the mean and standard deviation
    over runs that differ only in their seed, and paired differences between
    settings.
    """
    if as_json + as_csv + as_latex > 1:
        raise ConfigError("--json, --csv and --latex exclude each other", "give only one of them")
    context = context_of(ctx)
    options: dict[str, Any] = {
        "split": split,
        "data": data,
        "checkpoint": checkpoint,
        "metrics": metric,
        "kmeans_scenes": kmeans_scenes,
        "slot_samples": slot_samples,
        "mask_size": mask_size,
        "controls": controls,
        "batch_size": batch_size,
        "tasks": context.tasks,
        "progress": context.progress,
    }
    if len(runs) > 1:
        result = api.compare(runs, **options)
        title, table = f"{split}: {len(runs)} runs", api.comparison_table(result)
    else:
        result = api.evaluate(runs[0], **options).result
        title, table = title_of(result), api.result_table(result)
    if as_json:
        print_json(result)
    elif as_csv:
        print_csv(table.columns, table.rows)
    elif as_latex:
        print_latex(table.columns, table.rows)
    else:
        print_table(title, table.columns, table.rows, notes=table.notes)
        for name, known in api.control_tables(result).items():
            print_table(f"control: {name}", known.columns, known.rows)
    if as_json or as_csv or as_latex or len(runs) > 1:
        return
    chosen: list[object] = [] if checkpoint == "best" else ["--checkpoint", checkpoint]
    chosen += [] if data is None else ["--data", data]
    context.progress.note("next: " + context.command("interpret", runs[0], *chosen))


def print_result(result: dict[str, Any]) -> None:
    """Print a result as a table, with notes below."""
    table = api.result_table(result)
    print_table(title_of(result), table.columns, table.rows, notes=table.notes)


def title_of(result: dict[str, Any]) -> str:
    """The task, split and number of scenes of a result."""
    return f"{result['task']}, {result['split']}: {counted(result['scenes'], 'scenes')}"
