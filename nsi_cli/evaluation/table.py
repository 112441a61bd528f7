"""A result as table rows and as the lines below them, for the terminal and the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

COLUMNS = ("", "metric", "value", "95 % interval", "null", "95 % interval")
"""The headings of `rows`."""

Row = tuple[str, str, str, str, str, str]

_TITLES = {
    "image_to_schema": "image → schema",
    "schema_to_image": "schema → image",
    "slot_masks": "slot masks",
    "attention_masks": "attention masks",
    "kmeans": "k-means",
    "pointing": "pointing",
    "iou": "IoU",
    "ari": "ARI",
    "fg_ari": "FG-ARI",
    "mbo": "mBO",
    "miou": "mIoU",
    "miou_fg": "mIoU fg",
    "miou_gt": "mIoU gt",
    "median_rank": "median rank",
}

_NULLS = {
    "retrieval": "ranks at random",
    "grounding": "any slot, whatever the object",
    "properties": "another image's slots",
}
"""What each part of a result takes for its null."""

SLOT_RULES = {
    "true_mask": "the slot with the largest IoU with the object's true mask",
    "alignment": "the slot that the object aligns with, its value of the property left out",
}
"""How the slot of a property's measure is chosen, by ``slot_chosen_by``."""


def rows(result: dict[str, Any]) -> list[Row]:
    """Group, metric, value, interval, null and its interval; the headings are `COLUMNS`."""
    found: list[Row] = []
    for section in ("retrieval", "grounding", "segmentation", "properties"):
        for path, measured in _measures(result.get(section) or {}):
            group = _TITLES.get(path[0], path[0]) if len(path) > 1 else section
            if "measure" in measured:
                group = measured["measure"]
            digits = 1 if path[-1] == "median_rank" else 3
            null = measured.get("null")
            found.append(
                (
                    group,
                    path[-1] if section == "properties" else _TITLES.get(path[-1], path[-1]),
                    *_cells(measured, digits),
                    *(_cells(null, digits) if null else ("", "")),
                )
            )
    return found


def notes(result: dict[str, Any]) -> list[str]:
    """What a reader of the rows must know: what null is, which slots were used, what is missing."""
    measured = {
        section: [part for _, part in _measures(result.get(section) or {})] for section in _NULLS
    }
    nulls = [
        f"{rule} ({section})"
        for section, rule in _NULLS.items()
        if any(part.get("null") for part in measured[section])
    ]
    rules = {part["slot_chosen_by"] for part in measured["properties"] if "slot_chosen_by" in part}
    return [
        *(["null, the level by chance: " + ", ".join(nulls)] if nulls else []),
        *(f"properties: read from {SLOT_RULES[rule]}" for rule in sorted(rules)),
        *_missing(result, measured["properties"]),
    ]


def _missing(result: dict[str, Any], properties: list[dict[str, Any]]) -> Iterator[str]:
    grounding = result.get("grounding") or {}
    if "pointing" in grounding and not grounding["pointing"]:
        yield "no grounding: no scene has a true mask with a visible object"
    unknown = [name for name, part in (result.get("properties") or {}).items() if not part]
    if unknown:
        yield f"no measure for {', '.join(unknown)}: no object has a value"
    if any("null" in part and not part["null"] for part in properties):
        yield "no null for properties: a single scene has objects, so there are no other slots"


def _cells(measured: dict[str, Any], digits: int) -> tuple[str, str]:
    """The value and its interval."""
    low, high = measured["ci95"]
    return f"{measured['value']:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}"


def _measures(
    part: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every ``{"value", "ci95"}`` below, with the names that lead to it."""
    for name, value in part.items():
        if isinstance(value, dict) and "value" in value:
            yield (*path, name), value
        elif isinstance(value, dict):
            yield from _measures(value, (*path, name))
