"""The most important numbers of an evaluation, for the top of a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nsi_cli.evaluation.table import NULLS, TITLES

_MEASURES = {
    "accuracy": "share of objects whose true value scores highest of all values",
    "percentile": "mean share of other values that score lower than the true one",
}


@dataclass(frozen=True)
class Tile:
    """One number with its interval, on a scale from 0 to 1, and a reference to compare it with."""

    label: str
    value: float
    low: float
    high: float
    note: str
    reference: float | None = None
    reference_name: str = ""


def tiles(result: dict[str, Any]) -> list[Tile]:
    """Tiles for retrieval, grounding and segmentation, as far as the result has them."""
    return [*_retrieval(result), *_grounding(result), *_segmentation(result)]


def property_tiles(result: dict[str, Any]) -> list[Tile]:
    """A tile for each property: how well it can be read from the slots."""
    return [
        _beside_null(name, measured, _MEASURES[measured["measure"]], "properties")
        for name, measured in (result.get("properties") or {}).items()
        if measured
    ]


def _retrieval(result: dict[str, Any]) -> Iterator[Tile]:
    for direction in ("image_to_schema", "schema_to_image"):
        found = (result.get("retrieval") or {}).get(direction)
        if found and found["R@1"]:
            note = f"R@1, median rank {found['median_rank']['value']:g}"
            yield _beside_null(TITLES[direction].capitalize(), found["R@1"], note, "retrieval")


def _grounding(result: dict[str, Any]) -> Iterator[Tile]:
    found = result.get("grounding") or {}
    labels = {
        "pointing": ("Pointing", "peak of the aligned {} on the object"),
        "iou": ("Grounding IoU", "aligned segment with the object"),
    }
    for metric, (label, note) in labels.items():
        if found.get(metric):
            note = note.format(TITLES.get(found.get("masks", ""), "masks"))
            yield _beside_null(label, found[metric], note, "grounding")


def _segmentation(result: dict[str, Any]) -> Iterator[Tile]:
    found = result.get("segmentation") or {}
    masks = "slot_masks" if found.get("slot_masks") else "attention_masks"
    for metric in ("fg_ari", "mbo"):
        measured = (found.get(masks) or {}).get(metric)
        if measured:
            baseline = (found.get("kmeans") or {}).get(metric)
            yield _tile(TITLES[metric], measured, TITLES[masks], baseline, TITLES["kmeans"])


def _beside_null(label: str, measured: dict[str, Any], note: str, section: str) -> Tile:
    """A measure beside its null; results of earlier versions have none."""
    return _tile(label, measured, note, measured.get("null"), f"null, {NULLS[section]}:")


def _tile(
    label: str, measured: dict[str, Any], note: str, reference: dict[str, Any] | None, name: str
) -> Tile:
    low, high = measured["ci95"]
    value = None if reference is None else reference["value"]
    return Tile(label, measured["value"], low, high, note, value, name)
