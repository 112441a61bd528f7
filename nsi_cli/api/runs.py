"""Runs: open one with its model and its store, and export it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nsi_cli.api.paths import PathLike, optional_path
from nsi_cli.api.tasks import find_tasks
from nsi_cli.support.errors import ConfigError
from nsi_cli.support.progress import SILENT, Progress

if TYPE_CHECKING:
    from nsi_cli.interpretation.loaded_run import LoadedRun
    from nsi_cli.plugins.discovery.registry import TaskRegistry


def load_run(
    run: PathLike,
    *,
    data: PathLike | None = None,
    checkpoint: str = "best",
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> LoadedRun:
    """Open a run at a checkpoint, with its store or the one at ``data``.

    Raises `DataError` if the run, its checkpoint or the store is missing or does not fit.
    """
    from nsi_cli.interpretation import loading

    return loading.load_run(
        Path(run),
        tasks or find_tasks(),
        data=optional_path(data),
        checkpoint=checkpoint,
        progress=progress,
    )


def opened(
    run: PathLike | LoadedRun,
    data: PathLike | None,
    checkpoint: str,
    tasks: TaskRegistry | None,
    progress: Progress,
) -> LoadedRun:
    """The run, opened unless it is. Raises `ConfigError` for options that come too late."""
    if isinstance(run, Path | str):
        return load_run(run, data=data, checkpoint=checkpoint, tasks=tasks, progress=progress)
    if data is not None or checkpoint not in ("best", run.checkpoint):
        raise ConfigError(
            f"run {run.run.path} is open already", "give data and checkpoint to load_run"
        )
    return run


def export(
    run: PathLike | LoadedRun,
    to: PathLike,
    *,
    data: PathLike | None = None,
    checkpoint: str = "best",
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> Path:
    """Export a run to the new folder ``to``: weights, options, schema and a model card.

    `load_run` opens the folder without the store. The card has the metrics of the test split if
    the run was evaluated. Raises `DataError` if there is something at ``to``.
    """
    from nsi_cli.interpretation.export import export_run
    from nsi_cli.support.files import read_json

    loaded = opened(run, data, checkpoint, tasks, progress)
    evaluation = loaded.evaluation_path("test")
    found = evaluation.is_file()
    result = read_json(evaluation, "evaluation", "run nsi eval again") if found else None
    if result is None:
        progress.note(f"note: no {evaluation}; the model card has no metrics")
    return export_run(loaded, Path(to), result)
