"""The suite: every metric over one pass through a split, and the result as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nsi_cli.evaluation.metrics.grounding import Grounding
from nsi_cli.evaluation.metrics.kmeans import KMeansSegmentation
from nsi_cli.evaluation.metrics.properties import Properties
from nsi_cli.evaluation.metrics.retrieval import Retrieval
from nsi_cli.evaluation.metrics.segmentation import Segmentation
from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.schema import Schema
from nsi_cli.support.errors import ConfigError, DataError
from nsi_cli.support.files import write_json
from nsi_cli.support.options import did_you_mean


class Metric(Protocol):
    """A metric that is updated batch by batch and then computed."""

    def update(self, predictions: Predictions) -> None:
        """Add a batch."""

    def compute(self) -> dict[str, Any]:
        """Return a nested mapping of plain values; equal keys of two metrics are merged."""


@dataclass(frozen=True)
class Setting:
    """What a metric may need besides predictions."""

    schema: Schema
    encode_primitives: EncodePrimitives | None = None
    seed: int = 0
    device: str = "cpu"
    without: Sequence[str] = ()


METRICS: dict[str, Callable[[Setting], Metric]] = {
    "retrieval": lambda setting: Retrieval(seed=setting.seed, device=setting.device),
    "grounding": lambda setting: Grounding(seed=setting.seed),
    "segmentation": lambda setting: Segmentation(seed=setting.seed),
    "kmeans": lambda setting: KMeansSegmentation(seed=setting.seed),
    "properties": lambda setting: Properties(
        setting.schema, setting.encode_primitives, seed=setting.seed, without=setting.without
    ),
}


def evaluate(
    predictions: Iterable[Predictions],
    schema: Schema,
    *,
    task: str,
    split: str,
    metrics: Sequence[str] | None = None,
    encode_primitives: EncodePrimitives | None = None,
    seed: int = 0,
    device: str = "cpu",
    without: Sequence[str] = (),
) -> dict[str, Any]:
    """Run the metrics, all of `METRICS` if none are named, over the predictions of a split.

    ``encode_primitives`` (`nsi_cli.evaluation.predict.primitives_encoder`) embeds primitives with
    exchanged values for the properties metric, which is empty without it. ``seed`` seeds the
    bootstrap and the samples; ``device`` scores retrieval; ``without`` names properties that were
    excluded from the schema encoder. Raises `ConfigError` for an unknown metric, and `DataError`
    if there is no scene.
    """
    setting = Setting(schema, encode_primitives, seed, device, without)
    chosen = [_known(name)(setting) for name in (METRICS if metrics is None else metrics)]
    scenes = 0
    for batch in predictions:
        scenes += len(batch)
        for metric in chosen:
            metric.update(batch)
    if not scenes:
        raise DataError(f"split '{split}' has no scene to evaluate", "choose another --split")
    result: dict[str, Any] = {"task": task, "split": split, "scenes": scenes}
    for metric in chosen:
        _merge(result, metric.compute())
    return result


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write ``eval/<split>.json`` atomically."""
    write_json(path, result)


def _known(name: str) -> Callable[[Setting], Metric]:
    if name not in METRICS:
        near = did_you_mean(name, METRICS)
        raise ConfigError(f"unknown metric '{name}'", near or f"known: {', '.join(METRICS)}")
    return METRICS[name]


def _merge(into: dict[str, Any], part: dict[str, Any]) -> None:
    for name, value in part.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value
