"""The toolkit from Python: build a store, train, evaluate, interpret. Every command calls this.

Functions take plain arguments and return what they made. A run is given by its path, or as
`load_run` opened it. Functions print nothing; ``progress`` receives stages and notes. What a user
can correct is raised as a child of `NsiError`, with a hint. Heavy libraries are imported inside the
functions, so that ``import nsi_cli.api`` takes no time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.download.options import DownloadOptions
from nsi_cli.evaluation import KMEANS_SCENES, METRIC_NAMES
from nsi_cli.support.errors import ConfigError, DataError, PluginError
from nsi_cli.support.progress import SILENT, Progress
from nsi_cli.training.config import TrainConfig

if TYPE_CHECKING:
    from nsi_cli.data.check.result import CheckResult
    from nsi_cli.data.download.plan import DownloadPlan
    from nsi_cli.data.store.reader import Store
    from nsi_cli.interpretation.figures.figures import Figures
    from nsi_cli.interpretation.loaded_run import LoadedRun
    from nsi_cli.interpretation.search import Retrieved
    from nsi_cli.interpretation.slot_descriptions import Descriptions, ImageDescription
    from nsi_cli.plugins.discovery.registry import TaskRegistry
    from nsi_cli.training.run import Run

__all__ = [
    "KMEANS_SCENES",
    "METRIC_NAMES",
    "Answers",
    "BuildOptions",
    "DownloadOptions",
    "Evaluation",
    "ResultTable",
    "StoreCheck",
    "TrainConfig",
    "answer_table",
    "as_yaml",
    "ask",
    "build_store",
    "check_store",
    "check_task",
    "compare",
    "comparison_table",
    "control_tables",
    "describe",
    "description_table",
    "dry_run",
    "evaluate",
    "export",
    "figures",
    "find_tasks",
    "infer_schema",
    "interpret",
    "load_run",
    "new_task",
    "preset_names",
    "read_options",
    "result_table",
    "resume",
    "store_summary",
    "train",
    "train_config",
]

PathLike = Path | str


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
            check(found, _path(raw), **options)
    except ContractError as error:
        where = error.where or f"the Task that nsi_tasks() returns for '{task}'"
        raise PluginError(
            f"task '{task}' does not meet the contract: {error.message}", f"in {where}"
        ) from error


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
    from nsi_cli.support.options import check_options, plain
    from nsi_cli.support.threads import available_cores

    if download is not None and synthetic is not None:
        raise ConfigError("--download and --synthetic exclude each other", "choose one of them")
    out = Path(out or Path("data") / task)
    folder = Path(raw or out.with_name(f"{out.name}-raw"))
    workers = available_cores() if workers is None else workers
    kind = (tasks or find_tasks()).task(task).load_schema_builder()
    chosen = options or {}
    where = f"build-data {task}"
    builder: Any = check_options(kind, chosen, where=where, flags=chosen, raw=folder)
    given = read_vocabulary(_path(vocabulary), new_values)
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
    raw: PathLike,
    *,
    options: Mapping[str, Any] | None = None,
    tasks: TaskRegistry | None = None,
) -> str:
    """The schema that a task's builder infers from raw data, as YAML to edit; writes nothing.

    ``options`` are those of the schema builder. Raises `ConfigError` if it infers none.
    """
    from nsi_cli.plugins.contract import Inferrer
    from nsi_cli.support.options import check_options

    kind = (tasks or find_tasks()).task(task).load_schema_builder()
    chosen = options or {}
    where = f"build-data {task}"
    builder: Any = check_options(kind, chosen, where=where, flags=chosen, raw=Path(raw))
    if not isinstance(builder, Inferrer):
        raise ConfigError(f"task '{task}' has a fixed schema", "build it without --infer")
    return builder.infer()


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
    drawn = draw_check_sheet(path, _path(sheet) or path.with_name(f"{path.name}-check.png"), seed)
    return StoreCheck(path, results, drawn)


def preset_names() -> list[str]:
    """The names of the presets, sorted."""
    from nsi_cli.training import presets

    return presets.preset_names()


def as_yaml(config: TrainConfig) -> str:
    """The options of a training as YAML, as ``config.yaml`` holds them."""
    from nsi_cli.support.options import plain
    from nsi_cli.training import run

    return run.as_yaml(plain(config))


def train_config(
    preset: str | None = None, config_file: PathLike | None = None, **options: Any
) -> TrainConfig:
    """The options of a training: defaults < ``preset`` < ``config_file`` < ``options``.

    The store is ``data/TASK`` unless ``data`` names one. Raises `ConfigError` that lists every
    fault at once.
    """
    from dataclasses import replace

    from nsi_cli.training.presets import resolve

    if isinstance(options.get("data"), Path):
        options["data"] = str(options["data"])
    config = resolve(preset, _path(config_file), options)
    return replace(config, data=config.data or str(Path("data") / config.task))


def train(
    config: TrainConfig,
    out: PathLike | None = None,
    *,
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> Run:
    """Train a new run at ``out`` (``runs/TASK/TIME``) and return it.

    Raises `ConfigError`, `DataError` and `PluginError` before anything is written, and
    `Interrupted`, with the run's folder, after a signal.
    """
    from nsi_cli.training import session

    folder = Path(out or Path("runs") / config.task / time.strftime("%Y-%m-%d_%H-%M-%S"))
    return session.start(config, folder, tasks or find_tasks(), progress)


def resume(
    run: PathLike,
    *,
    epochs: int | None = None,
    checkpoint: str = "last",
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> tuple[Run, bool]:
    """Resume a run from a checkpoint, up to ``epochs`` if given; returns whether it trained.

    A run that is finished is left as it is.
    """
    from nsi_cli.training import session

    return session.resume(
        Path(run),
        tasks or find_tasks(),
        epochs=epochs,
        checkpoint=checkpoint,
        progress=progress,
    )


def dry_run(
    config: TrainConfig, *, tasks: TaskRegistry | None = None, progress: Progress = SILENT
) -> dict[str, float]:
    """Put one batch through a model, forward and backward; write nothing; return its metrics."""
    from nsi_cli.training import session

    return session.dry_run(config, tasks or find_tasks(), progress)


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
        data=_path(data),
        checkpoint=checkpoint,
        progress=progress,
    )


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`."""

    result: dict[str, Any]
    """What ``eval/SPLIT.json`` holds; docs/metrics.md defines every number."""
    path: Path | None
    """The file that was written; None if only a part of the suite was run. Beside it stand
    ``SPLIT-scenes.csv`` and ``SPLIT-objects.csv``."""
    scenes: dict[str, Any]
    """A column for each fact and metric of a scene: arrays in the store's order."""
    objects: dict[str, Any]
    """The same for each object of each scene."""


def evaluate(
    run: PathLike | LoadedRun,
    *,
    split: str = "test",
    data: PathLike | None = None,
    checkpoint: str = "best",
    metrics: Sequence[str] | None = None,
    kmeans_scenes: int = KMEANS_SCENES,
    slot_samples: int = 1,
    mask_size: int | None = None,
    controls: bool = False,
    batch_size: int = 64,
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Evaluate a run on a split, and write the result into the run.

    ``metrics`` are parts of the suite, all if None; a part never replaces the whole on disk.
    k-means is run on ``kmeans_scenes`` scenes at most, a seeded sample. Slots start at random:
    results are means over ``slot_samples`` draws. Segments are compared at ``mask_size`` pixels, or
    at the size of the store's masks. ``controls`` adds evaluations whose outcome is known.
    ``batch_size`` is how many scenes are read at once.
    """
    import numpy as np

    from nsi_cli.evaluation.records import write_csv
    from nsi_cli.interpretation.run_evaluation import EvaluationOptions, evaluate_run
    from nsi_cli.support.files import write_json

    loaded = _opened(run, data, checkpoint, tasks, progress)
    config = loaded.run.config
    options = EvaluationOptions(
        split, metrics, kmeans_scenes, slot_samples, mask_size, controls, batch_size
    )
    evaluated = evaluate_run(loaded, options, progress)
    if config.excluded:
        progress.note(
            f"{', '.join(config.excluded)}: excluded from training, so there is no property metric"
        )
    result, objects = evaluated.result, evaluated.objects
    ids = np.array(loaded.store.ids(split))
    scenes = {"index": evaluated.scenes["index"], "id": ids, **evaluated.scenes}
    if metrics is not None:
        return Evaluation(result, None, scenes, objects)
    path = loaded.evaluation_path(split)
    write_json(path, result)
    for name, columns in (("scenes", scenes), ("objects", objects)):
        write_csv(path.with_name(f"{path.stem}-{name}.csv"), columns)
    progress.note(f"written: {path}, {path.stem}-scenes.csv and {path.stem}-objects.csv")
    return Evaluation(result, path, scenes, objects)


def compare(
    runs: Sequence[PathLike], *, data: PathLike | None = None, **options: Any
) -> dict[str, Any]:
    """Evaluate runs and compare them: means over seeds, and differences between settings.

    Returns what `nsi_cli.evaluation.compare.compare` returns, and the split. The options are those
    of `evaluate`. Raises `ConfigError` if the runs would be evaluated on different stores.
    """
    from nsi_cli.data.store.reader import open_store
    from nsi_cli.evaluation import compare as comparison
    from nsi_cli.training.config import settings_of
    from nsi_cli.training.run import open_run

    configs = [open_run(Path(run)).config for run in runs]
    if data is None:
        stores = [open_store(Path(config.data), config.task) for config in configs]
        for run, store in zip(runs, stores, strict=True):
            if store.fingerprint != stores[0].fingerprint:
                raise ConfigError(
                    f"run {run} was trained on another store than run {runs[0]}",
                    "name a store on which to evaluate all of them: --data DIR",
                )
    evaluations = [evaluate(run, data=data, **options) for run in runs]
    records = [
        comparison.RunRecords(str(run), settings_of(config), config.seed, one.scenes, one.objects)
        for run, config, one in zip(runs, configs, evaluations, strict=True)
    ]
    return {"split": evaluations[0].result["split"], **comparison.compare(records)}


def comparison_table(result: Mapping[str, Any]) -> ResultTable:
    """The result of `compare` as a table."""
    from nsi_cli.evaluation import compare as comparison

    notes = [
        "mean ± standard deviation over runs; differences from the first column, 95 % CI",
        *(f"{group['name']}: {', '.join(group['runs'])}" for group in result["groups"]),
    ]
    return ResultTable(comparison.columns(result), comparison.rows(result), notes)


@dataclass(frozen=True)
class ResultTable:
    """An evaluation for a person: ``rows`` of text under ``columns``, and notes below."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]


def result_table(result: Mapping[str, Any]) -> ResultTable:
    """The result of `evaluate` as a table."""
    from nsi_cli.evaluation import table

    values = dict(result)
    return ResultTable(table.COLUMNS, table.rows(values), table.notes(values))


def control_tables(result: Mapping[str, Any]) -> dict[str, ResultTable]:
    """The controls of `evaluate` as tables by their titles."""
    from nsi_cli.evaluation import table

    return {
        table.TITLES[name]: ResultTable(table.CONTROL_COLUMNS, table.control_rows(control), [])
        for name, control in result.get("controls", {}).items()
    }


def interpret(
    run: PathLike | LoadedRun,
    *,
    split: str = "test",
    images: Sequence[PathLike] = (),
    out: PathLike | None = None,
    data: PathLike | None = None,
    checkpoint: str = "best",
    scenes: int = 12,
    top: int = 5,
    batch_size: int = 64,
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> Path:
    """Write the report of a run on a split to ``out`` (``RUN/report``); returns the page's path.

    ``images`` are files of the user's own to show; ``scenes`` are shown, with ``top`` retrieved
    images and schemas each.
    """
    from nsi_cli.interpretation.pages.make import make_report

    loaded = _opened(run, data, checkpoint, tasks, progress)
    folder = _report_folder(loaded, out)
    replaced = (folder / "index.html").exists()
    page = make_report(
        loaded,
        folder,
        split=split,
        title=loaded.title,
        images=[Path(image) for image in images],
        scenes=scenes,
        top=top,
        batch_size=batch_size,
        progress=progress,
    )
    if replaced:
        progress.note(f"replaced: {page}")
    return page


def describe(
    run: PathLike | LoadedRun,
    images: Sequence[PathLike],
    *,
    data: PathLike | None = None,
    checkpoint: str = "best",
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> Descriptions:
    """What each slot of images of the user's own shows: values with probabilities.

    Each slot also has its familiarity: the share of training objects whose slots score lower.
    """
    loaded = _opened(run, data, checkpoint, tasks, progress)
    return loaded.describe([Path(image) for image in images], progress=progress)


def figures(
    run: PathLike | LoadedRun,
    *,
    split: str = "test",
    data: PathLike | None = None,
    checkpoint: str = "best",
    batch_size: int = 64,
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> Figures:
    """The figures of a run's evaluation: R@k, properties, FG-ARI, and confusion matrices.

    They show what `evaluate` wrote, and what the slots of the split's objects are read as. Raises
    `DataError` if the split was not evaluated.
    """
    from nsi_cli.interpretation.figures.figures import figures_of, read_evaluation
    from nsi_cli.interpretation.pages.slots.confusion import ConfusionTally

    loaded = _opened(run, data, checkpoint, tasks, progress)
    result, scenes = read_evaluation(loaded.evaluation_path(split))
    schema, excluded = loaded.run.schema, loaded.run.config.excluded
    tally = ConfusionTally(schema, loaded.reader)
    if loaded.store.has_masks:
        for batch in loaded.predictions(split, batch_size, progress, "confusions"):
            tally.add(batch)
    return figures_of(result, scenes, tally.matrices(), schema, excluded)


def description_table(described: ImageDescription) -> ResultTable:
    """The slots of an image as a table."""
    return ResultTable(described.headings(), described.rows(), described.notes())


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

    loaded = _opened(run, data, checkpoint, tasks, progress)
    evaluation = loaded.evaluation_path("test")
    found = evaluation.is_file()
    result = read_json(evaluation, "evaluation", "run nsi eval again") if found else None
    if result is None:
        progress.note(f"note: no {evaluation}; the model card has no metrics")
    return export_run(loaded, Path(to), result)


@dataclass(frozen=True)
class Answers:
    """The result of `ask`."""

    found: Sequence[Retrieved]
    """The matches of each query, best first."""
    page: Path


def ask(
    run: PathLike | LoadedRun,
    queries: Sequence[str],
    *,
    split: str = "test",
    out: PathLike | None = None,
    data: PathLike | None = None,
    checkpoint: str = "best",
    top: int = 5,
    batch_size: int = 64,
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> Answers:
    """Find the images of a split that answer queries in words, and write them as a page.

    A query such as ``large sphere whitemarble`` gives some properties of an object. The page is
    ``out/queries.html`` (``RUN/report``). Raises `ConfigError` for what is no query.
    """
    from nsi_cli.interpretation.pages.query_page import write_query_page
    from nsi_cli.interpretation.pages.report import Heading

    loaded = _opened(run, data, checkpoint, tasks, progress)
    found = loaded.retrieve_all(
        queries, split=split, top=top, batch_size=batch_size, progress=progress
    )
    page = _report_folder(loaded, out) / "queries.html"
    replaced = page.exists()
    heading = Heading(
        loaded.run.config.task, loaded.title, split, {"store": str(loaded.store.path)}
    )
    write_query_page(page, found, heading)
    if replaced:
        progress.note(f"replaced: {page}")
    return Answers(found, page)


def answer_table(found: Retrieved) -> ResultTable:
    """The matches of a query as a table."""
    from nsi_cli.interpretation.search import COLUMNS
    from nsi_cli.support.progress import counted

    unknown = " (–: the store has no masks)" if any(m.on_it is None for m in found.matches) else ""
    notes = [
        f"relevant: whether the scene has an object with all given words; {found.relevant:,} of "
        f"{counted(found.scenes, 'scenes')} {'has' if found.scenes == 1 else 'have'} one",
        "score: of the image, with its best slot; on it: whether that slot's mask peaks on such an "
        "object" + unknown,
        "slots are numbered from 1 here and in figures, from 0 in Python and in CSV",
    ]
    return ResultTable(COLUMNS, found.rows(), notes)


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
        dataset = table_dataset(Path(from_csv), _path(raw))
    elif from_coco is not None:
        dataset = coco_dataset(Path(from_coco), _path(raw))
    elif raw is not None:
        raise ConfigError("--raw has no effect without --from-csv or --from-coco", "leave it out")
    for note in dataset.notes if dataset else ():
        progress.note(note)
    return render_plugin(name, Path(folder), dataset)


def read_options(path: PathLike) -> dict[str, Any]:
    """The options of a YAML file. Raises `ConfigError`."""
    from nsi_cli.training.presets import read_config_file

    return read_config_file(Path(path))


def _opened(
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


def _report_folder(loaded: LoadedRun, out: PathLike | None) -> Path:
    """Where the pages of a run go."""
    return Path(out) if out else loaded.run.path / f"report{loaded.suffix}"


def _path(path: PathLike | None) -> Path | None:
    return None if path is None else Path(path)
