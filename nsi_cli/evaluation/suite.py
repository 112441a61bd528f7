"""The suite: every metric over one pass through a split."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nsi_cli.evaluation import METRIC_NAMES
from nsi_cli.evaluation.groups import grounding_by_group
from nsi_cli.evaluation.metrics.grounding import Grounding
from nsi_cli.evaluation.metrics.kmeans import KMeansSegmentation
from nsi_cli.evaluation.metrics.metric import Metric
from nsi_cli.evaluation.metrics.probes.probes import Probes
from nsi_cli.evaluation.metrics.properties import Properties
from nsi_cli.evaluation.metrics.property_retrieval import PropertyRetrieval
from nsi_cli.evaluation.metrics.retrieval import Retrieval
from nsi_cli.evaluation.metrics.segmentation import Segmentation
from nsi_cli.evaluation.metrics.set_prediction.set_prediction import SetPrediction
from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.evaluation.records import Columns, Facts
from nsi_cli.schema import Schema
from nsi_cli.support.errors import ConfigError, DataError
from nsi_cli.support.options import did_you_mean


@dataclass(frozen=True)
class Evaluated:
    """The metrics of a split, and a record of each scene and object."""

    result: dict[str, Any]
    scenes: Columns
    objects: Columns


def evaluate(
    predictions: Iterable[Predictions],
    schema: Schema,
    *,
    task: str,
    split: str,
    metrics: Sequence[str] | None = None,
    encode_primitives: EncodePrimitives | None = None,
    train: Callable[[], Iterable[Predictions]] | None = None,
    seed: int = 0,
    device: str = "cpu",
    excluded: Sequence[str] = (),
    kmeans_sample: Container[int] | None = None,
) -> Evaluated:
    """Compute metrics over the predictions of a split: those named, or all of `METRIC_NAMES`.

    ``encode_primitives`` (`nsi_cli.evaluation.predict.primitives_encoder`) embeds primitives with
    changed values; metrics that need it are empty without it. Probes are trained on the
    predictions that ``train`` returns; there are none without it. ``seed`` seeds the
    bootstrap and the samples; retrieval is computed on ``device``; ``excluded`` names properties
    that were excluded from the schema encoder; ``kmeans_sample`` are the indices of the scenes that
    k-means is run on, all if None. Raises `ConfigError` for an unknown metric, `DataError` if there
    is no scene, and `NsiError` if an embedding is not finite.
    """
    makers: dict[str, Callable[[], Metric]] = {
        "retrieval": lambda: Retrieval(seed=seed, device=device),
        "grounding": lambda: Grounding(seed=seed),
        "segmentation": lambda: Segmentation(seed=seed),
        "kmeans": lambda: KMeansSegmentation(seed=seed, sample=kmeans_sample),
        "properties": lambda: Properties(schema, encode_primitives, seed=seed, excluded=excluded),
        "property_retrieval": lambda: PropertyRetrieval(
            schema, encode_primitives, seed=seed, excluded=excluded
        ),
        "set_prediction": lambda: SetPrediction(
            schema, encode_primitives, seed=seed, excluded=excluded
        ),
        "probes": lambda: Probes(schema, train, seed=seed),
    }
    chosen = [makers[_known(name)]() for name in (METRIC_NAMES if metrics is None else metrics)]
    scenes, facts = 0, Facts(schema)
    for batch in predictions:
        batch.check_finite()
        scenes += len(batch)
        facts.update(batch)
        for metric in chosen:
            metric.update(batch)
    if not scenes:
        raise DataError(f"split '{split}' has no scene to evaluate", "choose another --split")
    result: dict[str, Any] = {"task": task, "split": split, "scenes": scenes}
    for metric in chosen:
        for section, values in metric.compute().items():
            result.setdefault(section, {}).update(values)
    of_scenes, of_objects = facts.scenes(), facts.objects()
    for metric in chosen:
        of_scenes |= metric.scenes()
        of_objects |= metric.objects()
    if "grounding" in result:
        result["grounding"]["by_group"] = grounding_by_group(of_objects, schema, seed=seed)
    return Evaluated(result, of_scenes, of_objects)


def _known(name: str) -> str:
    if name not in METRIC_NAMES:
        near = did_you_mean(name, METRIC_NAMES)
        raise ConfigError(f"unknown metric '{name}'", near or f"known: {', '.join(METRIC_NAMES)}")
    return name
