"""``nsi eval RUN``: the metrics of a split, as a table and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsi_cli.cli.flags import default_shown
from nsi_cli.cli.output import print_json, print_table
from nsi_cli.cli.state import State, state_of
from nsi_cli.evaluation import METRIC_NAMES

if TYPE_CHECKING:
    from nsi_cli.training.run import Run


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
            help=f"Only this part of the suite: {', '.join(METRIC_NAMES)}; can be repeated."
            + default_shown("all")
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=65_536, help="Scenes that are read at once.")
    ] = 64,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, not as a table.")
    ] = False,
) -> None:
    """Evaluate a run's best checkpoint: retrieval, grounding, segmentation, properties.

    The result of the whole suite is also written to RUN/eval/SPLIT.json, of another checkpoint
    or store to RUN/eval/SPLIT-NAME.json.
    """
    result = run_evaluation(
        state_of(ctx), run, split=split, data=data, checkpoint=checkpoint, metrics=metric,
        batch_size=batch_size,
    )  # fmt: skip
    if as_json:
        print_json(result)
        return
    print_result(result)
    chosen: list[object] = [] if checkpoint == "best" else ["--checkpoint", checkpoint]
    chosen += [] if data is None else ["--data", data]
    state_of(ctx).progress.note("next: " + state_of(ctx).command("interpret", run, *chosen))


def run_evaluation(
    state: State, path: Path, *, split: str, data: Path | None = None,
    checkpoint: str = "best", metrics: list[str] | None = None, batch_size: int = 64,
) -> dict[str, Any]:  # fmt: skip
    """Evaluate a run on a split, write the result into the run, and return it."""
    from nsi_cli.cli.loaded import load_run
    from nsi_cli.evaluation import suite
    from nsi_cli.evaluation.predict import primitives_encoder

    loaded = load_run(state, path, data, checkpoint)
    result = suite.evaluate(
        loaded.findings(state, split, batch_size),
        loaded.run.schema,
        task=loaded.run.config.task,
        split=split,
        metrics=metrics,
        encode_primitives=primitives_encoder(loaded.model),
        device=str(loaded.device),
        without=loaded.run.config.left_out,
    )
    if left_out := loaded.run.config.left_out:
        state.progress.note(
            f"{', '.join(left_out)}: excluded from training, so there is no property metric"
        )
    if metrics is None:  # a part of the suite never takes the place of the whole
        written = result_path(loaded.run, split, checkpoint, data)
        suite.write_result(written, result)
        state.progress.note(f"written: {written}")
    return result


def result_path(run: Run, split: str, checkpoint: str, data: Path | None) -> Path:
    """Where a run's evaluation lies; see `apart`."""
    return run.path / "eval" / f"{split}{apart(run, checkpoint, data)}.json"


def apart(run: Run, checkpoint: str, data: Path | None) -> str:
    """What tells results of other checkpoints and stores apart; none for the run's own best."""
    other = data is not None and data.resolve() != Path(run.config.data).resolve()
    names = ([] if checkpoint == "best" else [checkpoint]) + ([data.name] if data and other else [])
    return "".join(f"-{name}" for name in names)


def print_result(result: dict[str, Any]) -> None:
    """Print a result as a table, and below it what a reader must know of it."""
    from nsi_cli.evaluation import table

    title = f"{result['task']}, {result['split']}: {result['scenes']:,} scenes"
    print_table(title, table.COLUMNS, table.rows(result), notes=table.notes(result))
