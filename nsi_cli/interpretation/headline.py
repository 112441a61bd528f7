"""The few numbers at the top of a report, out of an evaluation's result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tile:
    """One number with its interval, on a scale from 0 to 1, and what to hold it against."""

    label: str
    value: float
    low: float
    high: float
    note: str
    reference: float | None = None
    reference_name: str = ""


def tiles(result: dict[str, Any]) -> list[Tile]:
    """Retrieval, grounding and segmentation, as far as the result has them."""
    return [*_retrieval(result), *_grounding(result), *_segmentation(result)]


def property_tiles(result: dict[str, Any]) -> list[Tile]:
    """How well each property can be read from the slots."""
    meanings = {
        "accuracy": "the true value scores best of the vocabulary",
        "percentile": "share of other values that score lower",
    }
    return [
        _tile(
            name, measured, meanings[measured["measure"]], *_null(measured, "another image's slots")
        )
        for name, measured in (result.get("properties") or {}).items()
        if measured
    ]


def _retrieval(result: dict[str, Any]) -> Iterator[Tile]:
    names = {"image_to_schema": "Image → schema", "schema_to_image": "Schema → image"}
    for direction, name in names.items():
        found = (result.get("retrieval") or {}).get(direction)
        if found and found["R@1"]:
            rank = found["median_rank"]["value"]
            note = f"R@1, median rank {rank:g}"
            yield _tile(name, found["R@1"], note, *_null(found["R@1"], "ranks at random"))


def _grounding(result: dict[str, Any]) -> Iterator[Tile]:
    found = result.get("grounding") or {}
    masks = str(found.get("masks", "")).replace("_", " ")
    labels = {
        "pointing": ("Pointing", f"peak of the aligned {masks} on the object"),
        "iou": ("Grounding IoU", "aligned segment with the object"),
    }
    for metric, (label, note) in labels.items():
        if found.get(metric):
            yield _tile(label, found[metric], note, *_null(found[metric], "any slot"))


def _null(measured: dict[str, Any], rule: str) -> tuple[float | None, str]:
    """The null and its name; None in results of earlier versions, and if there is none."""
    null = measured.get("null")
    return (null["value"], f"null, {rule}:") if null else (None, "")


def _segmentation(result: dict[str, Any]) -> Iterator[Tile]:
    found = result.get("segmentation") or {}
    name = "slot_masks" if found.get("slot_masks") else "attention_masks"
    plain = found.get("kmeans") or {}
    for metric, label in (("fg_ari", "FG-ARI"), ("mbo", "mBO")):
        measured = (found.get(name) or {}).get(metric)
        if measured:
            reference = (plain.get(metric) or {}).get("value")
            yield _tile(label, measured, name.replace("_", " "), reference, "k-means")


def _tile(
    label: str, measured: dict[str, Any], note: str, reference: float | None = None,
    reference_name: str = "",
) -> Tile:  # fmt: skip
    low, high = measured["ci95"]
    return Tile(label, measured["value"], low, high, note, reference, reference_name)
