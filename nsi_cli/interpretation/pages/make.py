"""Makes the report of a run: one pass over a split, and the evaluation of that split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nsi_cli import __version__
from nsi_cli.evaluation.predict import primitives_encoder
from nsi_cli.evaluation.records import Columns, read_csv
from nsi_cli.interpretation.loaded_run import LoadedRun
from nsi_cli.interpretation.pages.analysis import Analysis
from nsi_cli.interpretation.pages.collect import collect
from nsi_cli.interpretation.pages.curves import training_curves
from nsi_cli.interpretation.pages.report import Heading, Upload, write_report
from nsi_cli.interpretation.pages.scenes.choice import choose_scenes
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import read_json
from nsi_cli.support.progress import SILENT, Progress

_AGAIN = "run nsi eval again"


@dataclass(frozen=True)
class KeptEvaluation:
    """The files of an evaluation of a split, as far as they exist."""

    result: dict[str, Any] | None = None
    scenes: Columns | None = None
    objects: Columns | None = None


def kept_evaluation(path: Path) -> KeptEvaluation:
    """Read an evaluation by the path of its JSON. Raises `DataError` for a damaged file."""
    if not path.is_file():
        return KeptEvaluation()
    records = [path.with_name(f"{path.stem}-{name}.csv") for name in ("scenes", "objects")]
    try:
        scenes, objects = (read_csv(file) if file.is_file() else None for file in records)
    except (OSError, ValueError):
        raise DataError(f"the records beside {path} cannot be read", _AGAIN) from None
    return KeptEvaluation(read_json(path, "evaluation", _AGAIN), scenes, objects)


def make_report(
    loaded: LoadedRun,
    out: Path,
    *,
    split: str,
    images: Sequence[Path] = (),
    scenes: int,
    top: int,
    batch_size: int,
    progress: Progress = SILENT,
) -> Path:
    """Write the report to ``out``; `nsi_cli.api.interpret` explains the options."""
    store, schema = loaded.store, loaded.run.schema
    uploads = [
        Upload(name, image, batch.predictions.take([row]))
        for batch in loaded.own_images(images, progress)
        for row, (name, image) in enumerate(zip(batch.names, batch.images, strict=True))
    ]
    evaluation = kept_evaluation(loaded.evaluation_path(split))
    choice = choose_scenes(store.count(split), scenes, evaluation.objects)
    encode = primitives_encoder(loaded.model)
    analysis = Analysis.of(schema, loaded.seen(split), encode, loaded.reader)
    predictions = loaded.predictions(split, batch_size, progress, "interpret")
    collected = collect(predictions, choice.scenes, analysis.collectors)
    return write_report(
        out,
        collected,
        heading=Heading(loaded.run.config.task, loaded.title, split, _facts(loaded)),
        schema=schema,
        ids=store.ids(split),
        images=lambda index: store.images(split, index),
        choice=choice,
        result=evaluation.result,
        ranks=_ranks(evaluation.scenes, collected.index),
        curves=training_curves(loaded.run.metrics),
        analysis=analysis,
        uploads=uploads,
        top=top,
    )


def _facts(loaded: LoadedRun) -> dict[str, str]:
    config = loaded.run.config
    return {
        "checkpoint": loaded.checkpoint,
        "seed": str(config.seed),
        "backbone": config.backbone,
        "store": str(loaded.store.path),
        "versions": f"nsi {__version__}, torch {torch.__version__}",
    }


def _ranks(scenes: Columns | None, index: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """The rank of each scene's own schema, in the order of ``index`` (n,)."""
    if scenes is None or "image_to_schema_rank" not in scenes:
        return None
    ranks = dict(zip(scenes["index"].astype(int), scenes["image_to_schema_rank"], strict=True))
    return np.array([float(ranks.get(int(one), np.nan)) for one in index])
