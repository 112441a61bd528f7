"""``nsi eval RUN``: the metrics of a split, as a table and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nsi_cli.cli.flags import default_shown
from nsi_cli.cli.output import print_json, print_table
from nsi_cli.cli.state import State, state_of


def evaluate(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="The run's folder.", metavar="RUN")],
    split: Annotated[str, typer.Option(help="Split to evaluate on.")] = "test",
    data: Annotated[Path | None, typer.Option(help="Another store of the same schema.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Only this part of the suite; can be repeated." + default_shown("all")),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Scenes that are read at once.")] = 64,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, not as a table.")
    ] = False,
) -> None:
    """Evaluate a run's best checkpoint: retrieval, grounding, segmentation, properties.

    The result of the whole suite is also written to RUN/eval/SPLIT.json.
    """
    result = run_evaluation(
        state_of(ctx), run, split=split, data=data, metrics=metric, batch_size=batch_size
    )
    if as_json:
        print_json(result)
        return
    print_result(result)
    state_of(ctx).progress.note("next: " + state_of(ctx).command("interpret", run))


def run_evaluation(
    state: State, path: Path, *, split: str, data: Path | None = None,
    metrics: list[str] | None = None, batch_size: int = 64,
) -> dict[str, Any]:  # fmt: skip
    """Evaluate a run on a split, write the result into the run, and return it."""
    from nsi_cli.cli.loaded import load_run
    from nsi_cli.evaluation import suite
    from nsi_cli.evaluation.find import primitives_encoder

    loaded = load_run(state, path, data)
    result = suite.evaluate(
        loaded.findings(state, split, batch_size),
        loaded.run.schema,
        task=loaded.run.config.task,
        split=split,
        metrics=metrics,
        encode_primitives=primitives_encoder(loaded.model),
        device=str(loaded.device),
    )
    if metrics is None:  # a part of the suite never takes the place of the whole
        written = path / "eval" / f"{split}.json"
        suite.write_result(written, result)
        state.progress.note(f"written: {written}")
    return result


def print_result(result: dict[str, Any]) -> None:
    """Print a result as a table."""
    from nsi_cli.evaluation import suite

    title = f"{result['task']}, {result['split']}: {result['scenes']:,} scenes"
    print_table(title, suite.COLUMNS, suite.rows(result))
