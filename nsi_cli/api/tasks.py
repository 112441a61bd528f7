"""Tasks: find them, check them, make a new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli.api.paths import PathLike, optional_path
from nsi_cli.support.errors import ConfigError, PluginError
from nsi_cli.support.progress import SILENT, Progress

if TYPE_CHECKING:
    from nsi_cli.plugins.discovery.registry import TaskRegistry


def find_tasks(
    plugin_dirs: Sequence[PathLike] = (),
    *,
    probe_again: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> TaskRegistry:
    """Find the tasks of all plugins: installed ones, and those in ``plugin_dirs``.

    ``NSI_PLUGIN_PATH`` names more folders, ``NSI_DISABLE`` what to skip. ``probe_again`` checks
    the import of every plugin in a child process; ``note`` receives a line if that takes long.
    """
    from nsi_cli.plugins.discovery.discover import (
        disabled_from_environment,
        discover,
        plugin_dirs_from_environment,
    )

    folders = (*map(Path, plugin_dirs), *plugin_dirs_from_environment())
    return discover(folders, disabled_from_environment(), probe_again=probe_again, note=note)


def check_task(
    task: str, *, raw: PathLike | None = None, tasks: TaskRegistry | None = None, **options: Any
) -> None:
    """Check that a task meets the contract, on synthetic scenes or a few of those in ``raw``.

    ``options`` are those of its schema builder. Raises `PluginError` at the first fault: the
    message says what to fix, the hint where.
    """
    from nsi_cli.support.streams import output_to_stderr
    from nsi_cli.testing import ContractError
    from nsi_cli.testing import check_task as check

    found = (tasks or find_tasks()).task(task)
    try:
        with output_to_stderr():
            check(found, optional_path(raw), **options)
    except ContractError as error:
        where = error.where or f"the Task that nsi_tasks() returns for '{task}'"
        raise PluginError(
            f"task '{task}' fails the check: {error.message}", f"in {where}"
        ) from error


def new_task(
    name: str,
    folder: PathLike = ".",
    *,
    from_csv: PathLike | None = None,
    from_coco: PathLike | None = None,
    raw: PathLike | None = None,
    progress: Progress = SILENT,
) -> list[Path]:
    """Write a plugin for a new task into ``folder``/NAME; returns its files, the first on top.

    ``from_csv`` is a table and ``from_coco`` a file of COCO annotations from which the schema is
    inferred; their images are in ``raw``, or beside the file. ``progress`` notes what was decided.
    """
    from nsi_cli.plugins.scaffold import render_plugin
    from nsi_cli.plugins.scaffold_table import coco_dataset, table_dataset

    if from_csv is not None and from_coco is not None:
        raise ConfigError("--from-csv and --from-coco exclude each other", "choose one of them")
    dataset = None
    if from_csv is not None:
        dataset = table_dataset(Path(from_csv), optional_path(raw))
    elif from_coco is not None:
        dataset = coco_dataset(Path(from_coco), optional_path(raw))
    elif raw is not None:
        raise ConfigError("--raw has no effect without --from-csv or --from-coco", "leave it out")
    for note in dataset.notes if dataset else ():
        progress.note(note)
    return render_plugin(name, Path(folder), dataset)
