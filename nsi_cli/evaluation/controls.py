"""Controls: evaluations whose outcome is known, to compare with the model's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.models.alignment import align

CHANCE_METRICS = ("retrieval", "grounding", "properties", "property_retrieval", "set_prediction")
"""The metrics of the controls at chance: those with a null that a control can meet."""

ORACLE_METRICS = (*CHANCE_METRICS, "segmentation", "probes")

CEILINGS = {
    "median_rank": 1.0, "mean_rank": 1.0, "error": 0.0, "mean_error": 0.0, "slots_used": None,
}  # fmt: skip
"""The oracle's expected values that are not 1; None if the value depends on the scenes."""


_LEFT_OUT = ("by_group", "by_objects", "features", "random_slots")
"""Parts of a result that are not an outcome of a control."""


@dataclass(frozen=True)
class Control:
    """Predictions with a known outcome, the encoder of their primitives, and their metrics."""

    predictions: Callable[[], Iterable[Predictions]]
    encode: EncodePrimitives
    metrics: tuple[str, ...] = CHANCE_METRICS
    train: Callable[[], Iterable[Predictions]] | None = None
    at_chance: bool = True


def shuffled_schemas(predictions: Iterable[Predictions]) -> Iterator[Predictions]:
    """Give each scene the annotation of the scene before it, and align it again.

    The first scene gets the annotation of the last scene of its batch, which should have several.
    """
    names = ("primitives", "present", "primitive_embeddings")
    last: Mapping[str, Any] | None = None
    for batch in predictions:
        own = {name: getattr(batch, name) for name in names}
        before = {name: (last or own)[name][-1:] for name in names}
        moved: dict[str, Any] = {
            name: np.concatenate([before[name], own[name][:-1]]) for name in names
        }
        last = own
        yield aligned(replace(batch, **moved))


def random_slots(predictions: Iterable[Predictions]) -> Iterator[Predictions]:
    """Draw slot embeddings with the mean and deviation of each dimension, and align them again."""
    for batch in predictions:
        slots = batch.slot_embeddings
        generator = np.random.default_rng((0, int(batch.index[0])))
        noise = generator.standard_normal(slots.shape).astype(np.float32)
        drawn = slots.mean((0, 1)) + slots.std((0, 1)) * noise
        yield aligned(replace(batch, slot_embeddings=drawn))


def aligned(predictions: Predictions) -> Predictions:
    """The predictions, with the alignment computed from their embeddings."""
    slots, primitives, present = (
        torch.from_numpy(getattr(predictions, name))
        for name in ("slot_embeddings", "primitive_embeddings", "present")
    )
    found = align(slots, primitives, present, alignment=predictions.alignment)
    return replace(predictions, aligned_slot=found.slot.numpy(), aligned_score=found.score.numpy())


def outcome(result: Mapping[str, Any], *, at_chance: bool) -> dict[str, Any]:
    """The measures of a control's result, with the same nesting, each with its ``expected`` value.

    At chance, the expected value is the null of the measure; for the oracle, it is the best
    possible value. Measures without an expected value are left out.
    """
    found = {}
    for name, part in result.items():
        if not isinstance(part, dict) or name in _LEFT_OUT:
            continue
        if "value" not in part:
            inner = outcome(part, at_chance=at_chance)
            if inner:
                found[name] = inner
            continue
        best = CEILINGS.get(part.get("measure", name), 1.0)
        ceiling = None if best is None else {"value": best, "ci95": [best, best]}
        expected = part.get("null") if at_chance else ceiling
        if expected:
            found[name] = {"value": part["value"], "ci95": part["ci95"], "expected": expected}
    return found
