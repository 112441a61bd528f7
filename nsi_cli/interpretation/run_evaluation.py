"""The evaluation of a run: the suite on its predictions, draws of initial slots, and controls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from nsi_cli.evaluation import KMEANS_SCENES, METRIC_NAMES, suite
from nsi_cli.evaluation.controls import (
    ORACLE_METRICS,
    Control,
    outcome,
    random_slots,
    shuffled_schemas,
)
from nsi_cli.evaluation.metrics.kmeans import sampled_scenes
from nsi_cli.evaluation.oracle import Oracle
from nsi_cli.evaluation.predict import primitives_encoder
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.evaluation.samples import mean_columns, mean_result
from nsi_cli.evaluation.suite import Evaluated
from nsi_cli.interpretation.loaded_run import LoadedRun
from nsi_cli.interpretation.run_predictions import TRAIN
from nsi_cli.support.errors import ConfigError
from nsi_cli.support.progress import SILENT, Progress

PROBE_SCENES = 1000
"""Maximum number of scenes of the train split that probes are trained on."""


@dataclass(frozen=True)
class EvaluationOptions:
    """How a run is evaluated; `nsi_cli.api.evaluate` explains each option."""

    split: str = "test"
    metrics: Sequence[str] | None = None
    kmeans_scenes: int = KMEANS_SCENES
    slot_samples: int = 1
    mask_size: int | None = None
    controls: bool = False
    batch_size: int = 64


def evaluate_run(
    loaded: LoadedRun, options: EvaluationOptions, progress: Progress = SILENT
) -> Evaluated:
    """Evaluate a run. Raises the errors of `nsi_cli.evaluation.suite.evaluate`."""
    if options.controls and loaded.store.count(options.split) < 2:
        raise ConfigError("--controls needs at least two scenes", "choose another --split")
    samples = [
        _evaluate(loaded, options, progress, number) for number in range(options.slot_samples)
    ]
    if len(samples) == 1:
        (evaluated,) = samples
    else:
        evaluated = Evaluated(
            {**mean_result([one.result for one in samples]), "slot_samples": len(samples)},
            mean_columns([one.scenes for one in samples]),
            mean_columns([one.objects for one in samples]),
        )
    if options.mask_size is not None:
        evaluated.result["mask_size"] = options.mask_size
    if options.controls:
        evaluated.result["controls"] = dict(_controls(loaded, options, progress))
    return evaluated


def _evaluate(
    loaded: LoadedRun, options: EvaluationOptions, progress: Progress, slot_sample: int
) -> Evaluated:
    """Run the suite with one draw of the initial slots."""
    predictions = partial(loaded.predictions, slot_sample=slot_sample, mask_size=options.mask_size)
    number = f" {slot_sample + 1}" if options.slot_samples > 1 else ""
    return suite.evaluate(
        predictions(options.split, options.batch_size, progress, f"evaluate{number}"),
        loaded.run.schema,
        task=loaded.run.config.task,
        split=options.split,
        metrics=options.metrics,
        encode_primitives=primitives_encoder(loaded.model),
        train=_train(loaded, options, progress),
        device=str(loaded.device),
        excluded=loaded.run.config.excluded,
        kmeans_sample=sampled_scenes(loaded.store.count(options.split), options.kmeans_scenes),
    )


def _train(
    loaded: LoadedRun, options: EvaluationOptions, progress: Progress
) -> Callable[[], Iterable[Predictions]] | None:
    """Predictions for a sample of the train split; None if it is missing or the evaluated split."""
    if options.split == TRAIN or TRAIN not in loaded.store.splits:
        return None
    return partial(
        loaded.predictions, TRAIN, options.batch_size, progress, "probes",
        sample=PROBE_SCENES, mask_size=options.mask_size,
    )  # fmt: skip


def _controls(
    loaded: LoadedRun, options: EvaluationOptions, progress: Progress
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The outcome of each control, by its name."""
    config, schema = loaded.run.config, loaded.run.schema
    untrained = loaded.untrained()
    encode, oracle = primitives_encoder(loaded.model), Oracle(schema, config.excluded)

    def of(run: LoadedRun, stage: str) -> Iterator[Predictions]:
        size = max(2, options.batch_size)  # a single schema cannot be shuffled
        return run.predictions(options.split, size, progress, stage, mask_size=options.mask_size)

    train = _train(loaded, options, progress)
    controls = {
        "untrained": Control(
            lambda: of(untrained, "untrained"), primitives_encoder(untrained.model)
        ),
        "shuffled_schemas": Control(lambda: shuffled_schemas(of(loaded, "shuffled")), encode),
        "random_slots": Control(lambda: random_slots(of(loaded, "random slots")), encode),
        "oracle": Control(
            lambda: oracle.predictions(of(loaded, "oracle")), oracle.encode, ORACLE_METRICS,
            train=None if train is None else lambda: oracle.predictions(train()), at_chance=False,
        ),
    }  # fmt: skip
    chosen = METRIC_NAMES if options.metrics is None else options.metrics
    for name, control in controls.items():
        result = suite.evaluate(
            control.predictions(),
            schema,
            task=config.task,
            split=options.split,
            metrics=[metric for metric in control.metrics if metric in chosen],
            encode_primitives=control.encode,
            train=control.train,
            device=str(loaded.device),
            excluded=config.excluded,
        ).result
        yield name, outcome(result, at_chance=control.at_chance)
