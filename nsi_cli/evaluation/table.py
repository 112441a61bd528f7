"""A result as rows of a table with notes below, and the titles of all metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nsi_cli.evaluation import DEPTHS
from nsi_cli.support.progress import counted

COLUMNS = ("", "metric", "value", "95 % CI", "null", "95 % CI")
"""The headings of `rows`."""

CONTROL_COLUMNS = ("", "metric", "value", "95 % CI", "expected", "95 % CI")
"""The headings of `control_rows`."""

CONTROL_METRICS = ("R@1", "pointing", "iou", "AP@inf", "fg_ari", "mbo", "miou")
"""The metrics that have rows in the table of a control; the JSON has all."""

Row = tuple[str, str, str, str, str, str]

TITLES = {
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
    "R@1_expected": "R@1, ties at random",
    "R@5_expected": "R@5, ties at random",
    "R@10_expected": "R@10, ties at random",
    "mrr": "MRR",
    "mean_rank": "mean rank",
    "median_rank": "median rank",
    "slots_used": "slots used",
    "r2": "R²",
    "linear": "linear probe",
    "mlp": "MLP",
    "random_slots": "random slots",
    "set_prediction": "set prediction",
    "untrained": "untrained",
    "shuffled_schemas": "shuffled schemas",
    "oracle": "oracle",
}
"""The titles of metrics and of their groups, by the keys of a result; R@k is its own title."""

NULLS = {
    "retrieval": "ranks at random",
    "grounding": "any slot",
    "properties": "another image's slots",
    "property_retrieval": "other images with the same number of objects",
    "set_prediction": "other images' slots",
    "probes": "random slots of the image",
}
"""How the null of each section of a result is measured."""

_IN_WORDS = {
    "properties": "accuracy and percentile",
    "property_retrieval": "property mAP",
    "set_prediction": "set prediction and read-out",
}
"""The sections whose rows have other names."""

_SLOT_RULES = {
    "true_mask": "the slot with the largest IoU with the object's true mask",
    "alignment": "the slot that the object aligns with, without using its value of the property",
}
"""How the slot of a property's measure was chosen, by ``slot_chosen_by``."""


SECTIONS = (
    "retrieval",
    "property_retrieval",
    "grounding",
    "segmentation",
    "properties",
    "set_prediction",
    "probes",
)
"""The sections of a result that have rows, in their order."""

_SHOWN = {"property_retrieval": ("mAP",), "probes": ("accuracy", "r2")}
"""The metrics that have rows, for sections where not all of them do."""

_LEFT_OUT = ("by_objects", "by_group", "by_prediction", "random_slots")
"""Parts of a result that have no rows of their own."""


def rows(result: dict[str, Any]) -> list[Row]:
    """Group, metric, value, interval, null and its interval; the headings are `COLUMNS`.

    R@k has a row only if k is below the number of scenes; otherwise it is always 1.
    """
    return [
        _row(section, path, {**measured, "null": _null(result[section], path, measured)})
        for section, path, measured in _shown(result)
    ]


def _shown(result: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...], dict[str, Any]]]:
    """The section, the path and the measure of each row."""
    for section in SECTIONS:
        for path, measured in _measures(result.get(section) or {}):
            trivial = section == "retrieval" and path[-1] in _trivial_recalls(result)
            if path[-1] in _SHOWN.get(section, path) and not trivial:
                yield section, path, measured


def _trivial_recalls(result: dict[str, Any]) -> list[str]:
    """The R@k of a split of at most k scenes, also with ties at random."""
    scenes = result.get("scenes", float("inf"))
    return [f"R@{k}{end}" for k in DEPTHS if k >= scenes for end in ("", "_expected")]


def _null(section: dict[str, Any], path: tuple[str, ...], measured: dict[str, Any]) -> Any:
    """The null of a measure; for a probe on slots, it is the same probe on random slots."""
    if len(path) == 4 and path[1] == "slots":
        name, _, probe, metric = path
        return section[name].get("random_slots", {}).get(probe, {}).get(metric)
    return measured.get("null")


def control_rows(control: dict[str, Any]) -> list[Row]:
    """The rows of a control, like `rows`, with the expected value in place of the null."""
    return [
        _row(section, path, {**measured, "null": measured["expected"]})
        for section in SECTIONS
        for path, measured in _measures(control.get(section) or {})
        if path[-1] in _SHOWN.get(section, CONTROL_METRICS) or section == "properties"
    ]


def _row(section: str, path: tuple[str, ...], measured: dict[str, Any]) -> Row:
    group, metric = _titles(section, path, measured)
    digits = 1 if path[-1].endswith(("_rank", "_used")) else 3
    null = measured.get("null")
    return group, metric, *_cells(measured, digits), *(_cells(null, digits) if null else ("", ""))


def _titles(section: str, path: tuple[str, ...], measured: dict[str, Any]) -> tuple[str, str]:
    """The group and the metric of a measure; names of properties stay as they are."""
    metric = TITLES.get(path[-1], path[-1])
    if section == "properties":
        return measured.get("measure", section), path[-1]
    if section == "property_retrieval":
        return f"property {metric}", path[0]
    if section == "probes":
        name, vectors, probe, _ = path
        group = TITLES[probe] + ("" if vectors == "slots" else " on features")
        return group, name if metric == "accuracy" else f"{name}, {metric}"
    if section == "set_prediction":
        wrong = ", error" if measured.get("measure") == "error" else ""
        return (TITLES[section] if len(path) == 1 else "read-out"), f"{path[-1]}{wrong}"
    return TITLES.get(path[0], path[0]) if len(path) > 1 else section, metric


def notes(result: dict[str, Any]) -> list[str]:
    """Notes below the rows: intervals, nulls, slots that were used, and what is missing."""
    measured: dict[str, list[dict[str, Any]]] = {section: [] for section in SECTIONS}
    for section, _, part in _shown(result):
        measured[section].append(part)
    nulls = [
        f"{_IN_WORDS.get(section, section)}: {rule}"
        for section, rule in NULLS.items()
        if any(part.get("null") for part in measured[section])
        or (section == "probes" and measured[section])
    ]
    rules = {part["slot_chosen_by"] for part in measured["properties"] if "slot_chosen_by" in part}
    return [
        *_intervals(measured),
        *(["null: the same measure at chance; " + "; ".join(nulls)] if nulls else []),
        *(f"properties: read from {_SLOT_RULES[rule]}" for rule in sorted(rules)),
        *_units(measured),
        *_missing(result, measured["properties"]),
    ]


def _intervals(measured: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """How the intervals were computed, if there are any."""
    parts = [part for parts in measured.values() for part in parts]
    if parts:
        queries = ", for property mAP over queries" if measured["property_retrieval"] else ""
        wilson = "; the Wilson interval for a share of exactly 0 or 1"
        yield f"95 % CI: bootstrap over scenes{queries}" + wilson * any(map(_is_wilson, parts))


def _is_wilson(part: dict[str, Any]) -> bool:
    """Whether an interval is that of Wilson; resampling a share of 0 or 1 would not vary it."""
    value, (low, high) = part["value"], part["ci95"]
    return bool(value == low == 0 < high or value == high == 1 > low)


def _units(measured: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """What probes and read-outs measure."""
    if any("measure" in part for part in measured["set_prediction"]):
        yield "read-out: accuracy, unless marked error"
    if measured["probes"]:
        yield "probes: accuracy, unless marked R²; the MLP on features is a ceiling"


def _missing(result: dict[str, Any], properties: list[dict[str, Any]]) -> Iterator[str]:
    retrieval, grounding = (result.get(name) or {} for name in ("retrieval", "grounding"))
    trivial = [name for name in _trivial_recalls(result) if name in _recalls(retrieval)]
    if trivial:
        scenes = counted(result["scenes"], "scenes")
        yield f"not shown: {' and '.join(trivial)}, which are always 1 on {scenes}"
    kmeans = (result.get("segmentation") or {}).get("kmeans") or {}
    if kmeans.get("scenes", result["scenes"]) < result["scenes"]:
        yield f"k-means: measured on a sample of {kmeans['scenes']:,} scenes"
    if duplicates := retrieval.get("duplicate_schemas"):
        yield (
            f"retrieval: {counted(duplicates, 'scenes')} with the same annotation as another "
            "scene; equal scores share their mean rank, so R@1 counts them as misses"
        )
    if "pointing" in grounding and not grounding["pointing"]:
        probes = " and no probes" if "probes" in result else ""
        yield f"no grounding{probes}: no scene has a true mask with a visible object"
    if grounding.get("pointing") and "probes" in result and not result["probes"]:
        yield "no probes: they need a train split that is not the evaluated one"
    for name, part in (result.get("properties") or {}).items():
        if part and "compared" in part:
            yield f"{name}: compared with a sample of {part['compared']:,} values of its vocabulary"
    unknown = [name for name, part in (result.get("properties") or {}).items() if not part]
    if unknown:
        yield f"no measure for {', '.join(unknown)}: no object has a value"
    if any("null" in part and not part["null"] for part in properties):
        yield "no null for properties: only one scene has objects, so there are no other slots"


def _recalls(retrieval: dict[str, Any]) -> list[str]:
    """The names of R@k in a result, without ties at random."""
    return [name for name in retrieval.get("image_to_schema") or {} if "_" not in name]


def _cells(measured: dict[str, Any], digits: int) -> tuple[str, str]:
    """The value and its interval."""
    low, high = measured["ci95"]
    return f"{measured['value']:.{digits}f}", f"{low:.{digits}f}–{high:.{digits}f}"


def _measures(
    part: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield every ``{"value", "ci95"}`` of a nested mapping, with the keys that lead to it.

    Skips `_LEFT_OUT`, the linear probe on features, and R@k with ties at random if there is no tie.
    """
    for name, value in part.items():
        if name in _LEFT_OUT or (name.endswith("_expected") and not part.get("ties")):
            continue
        if path[1:] == ("features", "linear"):
            continue
        if isinstance(value, dict) and "value" in value:
            yield (*path, name), value
        elif isinstance(value, dict):
            yield from _measures(value, (*path, name))
