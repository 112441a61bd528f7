"""Evaluation of a run, comparison of runs, and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli.api.paths import PathLike
from nsi_cli.api.runs import opened
from nsi_cli.evaluation import KMEANS_SCENES
from nsi_cli.support.errors import ConfigError
from nsi_cli.support.progress import SILENT, Progress

if TYPE_CHECKING:
    from nsi_cli.interpretation.figures.figures import Figures
    from nsi_cli.interpretation.loaded_run import LoadedRun
    from nsi_cli.plugins.discovery.registry import TaskRegistry


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

    loaded = opened(run, data, checkpoint, tasks, progress)
    config = loaded.run.config
    metrics = [metrics] if isinstance(metrics, str) else metrics
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

    loaded = opened(run, data, checkpoint, tasks, progress)
    result, scenes = read_evaluation(loaded.evaluation_path(split))
    schema, excluded = loaded.run.schema, loaded.run.config.excluded
    tally = ConfusionTally(schema, loaded.reader)
    if loaded.store.has_masks:
        for batch in loaded.predictions(split, batch_size, progress, "confusions"):
            tally.add(batch)
    return figures_of(result, scenes, tally.matrices(), schema, excluded)
