"""Stores: build one, check it, read its summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli.api.paths import PathLike, optional_path
from nsi_cli.api.tasks import find_tasks
from nsi_cli.data.build.options import BuildOptions, folders_of
from nsi_cli.data.download.options import DownloadOptions
from nsi_cli.support.errors import ConfigError, DataError
from nsi_cli.support.progress import SILENT, Progress

if TYPE_CHECKING:
    from nsi_cli.data.check.result import CheckResult
    from nsi_cli.data.download.plan import DownloadPlan
    from nsi_cli.data.store.reader import Store
    from nsi_cli.plugins.discovery.registry import TaskRegistry


def build_store(
    task: str,
    out: PathLike | None = None,
    *,
    raw: PathLike | None = None,
    synthetic: int | None = None,
    download: DownloadOptions | None = None,
    confirm: Callable[[DownloadPlan], object] = lambda plan: None,
    seed: int = 0,
    force: bool = False,
    image_size: int = BuildOptions.image_size,
    workers: int | None = None,
    max_skipped: float = BuildOptions.max_skipped,
    limit: int | None = None,
    vocabulary: PathLike | None = None,
    new_values: str = "refuse",
    options: Mapping[str, Any] | None = None,
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> Store:
    """Build the store of a task at ``out`` (``data/TASK``) and return it, opened.

    ``raw`` is the folder of the raw data (``OUT-raw``); ``synthetic`` scenes are rendered into it
    first, or ``download`` fetches it, after ``confirm`` was called with the plan. ``options`` are
    those of the task's schema builder. ``image_size`` is in pixels, ``workers`` are processes (one
    for each core if None), ``max_skipped`` is the share of unreadable scenes that fails the build.
    ``vocabulary`` is another store whose category ids are reused; ``new_values`` says what happens
    to values that it lacks: refuse, extend or drop. Raises `ConfigError`, `DataError` and
    `PluginError`; a store at ``out`` is replaced only with ``force``.
    """
    from nsi_cli.data.build.build import build_store as build
    from nsi_cli.data.build.folder import check_out
    from nsi_cli.data.build.raw import download_raw, synthesize_raw
    from nsi_cli.data.build.vocabulary import read_vocabulary
    from nsi_cli.data.store.reader import open_store
    from nsi_cli.interpretation.stores.store_summary import write_summary
    from nsi_cli.support.options import plain
    from nsi_cli.support.threads import available_cores

    if download is not None and synthetic is not None:
        raise ConfigError("--download and --synthetic exclude each other", "choose one of them")
    out, folder = folders_of(task, out, raw)
    workers = available_cores() if workers is None else workers
    builder = _builder(task, folder, options, tasks)
    given = read_vocabulary(optional_path(vocabulary), new_values)
    check_out(out, folder, force=force)
    recorded = {**plain(builder), "raw": str(folder)}
    if download is not None:
        recorded["archives"] = download_raw(builder, task, folder, download, confirm, progress)
    elif synthetic is not None:
        synthesize_raw(builder, task, folder, synthetic, seed, workers, progress)
        recorded |= {"synthetic": synthetic, "seed": seed}
    if given is not None:
        recorded |= {"vocabulary": given.origin, "new_values": given.new_values}
    store_options = BuildOptions(image_size, workers, max_skipped, limit, given, recorded)
    path = build(
        builder, task, out, store_options, progress, lambda store: write_summary(store, progress)
    )
    return open_store(path)


def infer_schema(
    task: str,
    raw: PathLike | None = None,
    *,
    out: PathLike | None = None,
    options: Mapping[str, Any] | None = None,
    tasks: TaskRegistry | None = None,
) -> str:
    """The schema that a task's builder infers from raw data, as YAML to edit; writes nothing.

    Without ``raw``, the data are those from which a build of the store ``out`` would be made.
    ``options`` are those of the schema builder. Raises `ConfigError` if it infers none.
    """
    from nsi_cli.plugins.contract import Inferrer

    _, folder = folders_of(task, out, raw)
    builder = _builder(task, folder, options, tasks)
    if not isinstance(builder, Inferrer):
        raise ConfigError(f"task '{task}' has a fixed schema", "build it without --infer")
    return builder.infer()


def _builder(
    task: str, raw: Path, options: Mapping[str, Any] | None, tasks: TaskRegistry | None
) -> Any:
    """The schema builder of a task. Faults of its options are spelt as on the command line."""
    from nsi_cli.support.options import check_options

    kind, chosen = (tasks or find_tasks()).task(task).load_schema_builder(), options or {}
    return check_options(kind, chosen, where=f"build-data {task}", flags=chosen, raw=raw)


def store_summary(store: PathLike) -> tuple[dict[str, Any], Path]:
    """The summary that was written when a store was built, and the path of its figure."""
    from nsi_cli.data.store.summary import FIGURE, SUMMARY
    from nsi_cli.support.files import read_json

    path = Path(store)
    hint = "build the store again with --force"
    return read_json(path / SUMMARY, "summary", hint), path / FIGURE


@dataclass(frozen=True)
class StoreCheck:
    """The result of `check_store`."""

    path: Path
    results: Sequence[CheckResult]
    sheet: Path | None
    """The contact sheet; None if the store cannot be opened."""

    @property
    def faults(self) -> int:
        """The number of faults."""
        return sum(result.faults for result in self.results)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "store": str(self.path),
            "ok": not self.faults,
            "checks": [result.to_json() for result in self.results],
            "sheet": None if self.sheet is None else str(self.sheet),
        }


def check_store(
    path: PathLike,
    *,
    task: str | None = None,
    sheet: PathLike | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> StoreCheck:
    """Read a store again, compare it with its own record, and draw a contact sheet of it.

    ``sheet`` is the PNG file (``PATH-check.png``), ``seed`` draws its scenes. Raises `DataError`
    if there is no store, and `ConfigError` if it is not a store of ``task``.
    """
    from nsi_cli.data.check.check import check_store as run_checks
    from nsi_cli.data.store.reader import BUILD, is_store
    from nsi_cli.interpretation.stores.check_sheet import draw_check_sheet
    from nsi_cli.support.files import read_json

    path, hint = Path(path), "name the folder that nsi build-data made"
    if not is_store(path):
        raise DataError(f"no store at {path}", hint)
    build = read_json(path / BUILD, "store", hint)
    other = build.get("task") if isinstance(build, dict) else None
    if task is not None and isinstance(other, str) and other != task:
        raise ConfigError(
            f"store {path} is of task '{other}', not '{task}'",
            f"check it with nsi build-data {other} --check {path}",
        )
    results = run_checks(path, progress)
    drawn = draw_check_sheet(
        path, optional_path(sheet) or path.with_name(f"{path.name}-check.png"), seed
    )
    return StoreCheck(path, results, drawn)
