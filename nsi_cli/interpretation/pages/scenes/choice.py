"""Which scenes a report shows: the best, the median and the worst, by their grounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nsi_cli.evaluation.records import Columns
from nsi_cli.interpretation.pages.collect import spread

BEST, MEDIAN, WORST = "best", "median", "worst"


@dataclass(frozen=True)
class SceneChoice:
    """The scenes to show, by their index in the split."""

    scenes: tuple[int, ...]  # in the order in which they are shown
    kinds: Mapping[int, str] = field(default_factory=dict)  # best, median or worst
    shares: Mapping[str, float] = field(default_factory=dict)
    """The shares of scenes in which all, some and none of the visible objects are pointed at."""


def choose_scenes(total: int, most: int, objects: Columns | None = None) -> SceneChoice:
    """Choose ``most`` of ``total`` scenes by the records of an evaluation's objects.

    A scene is as good as the mean IoU of its visible objects with the segments of their aligned
    slots. Without records, or without true masks, the scenes are evenly spread over the split.
    """
    measured = {} if objects is None or "iou" not in objects else _by_scene(objects)
    if not measured or max(measured) >= total:
        return SceneChoice(tuple(spread(total, most)))
    ious = np.array([iou for iou, _ in measured.values()])
    ranked = np.array(list(measured))[np.argsort(-ious, kind="stable")]
    each = max(1, most // 3)
    middle = max(0, (len(ranked) - each) // 2)
    parts = {BEST: ranked[:each], MEDIAN: ranked[middle : middle + each], WORST: ranked[-each:]}
    kinds: dict[int, str] = {}
    for kind in (BEST, WORST, MEDIAN):
        for index in parts[kind].tolist():
            kinds.setdefault(int(index), kind)
    shown = [int(index) for index in ranked.tolist() if int(index) in kinds][:most]
    hits = np.array([pointing for _, pointing in measured.values()])
    shares = {"all": hits == 1, "some": (hits > 0) & (hits < 1), "none": hits == 0}
    return SceneChoice(
        tuple(shown),
        {index: kinds[index] for index in shown},
        {name: float(np.mean(members)) for name, members in shares.items()},
    )


def _by_scene(objects: Columns) -> dict[int, tuple[float, float]]:
    """The mean IoU and the share pointed at of each scene's visible objects, by its index."""
    visible = ~np.isnan(objects["iou"].astype(float))
    index, scene = np.unique(objects["index"][visible].astype(int), return_inverse=True)
    counts = np.maximum(1, np.bincount(scene))
    ious, hits = (
        np.bincount(scene, objects[name][visible]) / counts for name in ("iou", "pointing")
    )
    return dict(zip(index.tolist(), zip(ious.tolist(), hits.tolist(), strict=True), strict=True))
