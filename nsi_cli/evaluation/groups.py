"""Grounding by kind of object: by each word of a property, by visibility and by crowding."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.bootstrap import mean_with_interval
from nsi_cli.evaluation.records import Columns
from nsi_cli.schema import Schema

MEASURES = ("pointing", "iou")
QUANTILES = (0, 1 / 3, 2 / 3, 1)
"""The limits of the groups of a number, as shares of the objects."""

Group = tuple[str, npt.NDArray[np.bool_]]


def grounding_by_group(objects: Columns, schema: Schema, *, seed: int = 0) -> dict[str, Any]:
    """Pointing and IoU of the visible objects of each group, from the records of objects.

    The groups are the words of each categorical property, and thirds of the objects by ``visible``
    and by ``crowding`` (`nsi_cli.evaluation.records.Facts`). Intervals are over scenes. Returns
    ``{property: {group: {"objects": n, "pointing": …, "iou": …}}}``; empty without true masks.
    """
    if not set(MEASURES) <= objects.keys():
        return {}
    visible = ~np.isnan(objects["pointing"])
    kinds: dict[str, Iterator[Group]] = {
        item.name: _words(objects[item.name], item.values) for item in schema.categorical
    }
    kinds |= {name: _thirds(objects[name], visible) for name in ("visible", "crowding")}
    return {
        name: {
            title: _measured(objects, members & visible, seed)
            for title, members in groups
            if (members & visible).any()
        }
        for name, groups in kinds.items()
    }


def _words(values: npt.NDArray[Any], words: tuple[str, ...]) -> Iterator[Group]:
    for word in words:
        yield word, np.asarray(values == word)


def _thirds(
    values: npt.NDArray[np.floating[Any]], visible: npt.NDArray[np.bool_]
) -> Iterator[Group]:
    """Thirds of the visible objects by a number, from the lowest; titled by their limits."""
    known = values[visible & ~np.isnan(values)]
    if not len(known):
        return
    limits = np.unique(np.quantile(known, QUANTILES))
    for number, (low, high) in enumerate(pairwise(limits.tolist())):
        last = number == len(limits) - 2
        below = values <= high if last else values < high
        yield f"{low:.3g} to {high:.3g}", (values >= low) & below


def _measured(objects: Columns, members: npt.NDArray[np.bool_], seed: int) -> dict[str, Any]:
    _, scene = np.unique(objects["index"][members], return_inverse=True)
    counts = np.bincount(scene)
    return {
        "objects": int(members.sum()),
        **{
            name: mean_with_interval(
                np.bincount(scene, objects[name][members]), counts,
                share=name == "pointing", seed=seed,
            )
            for name in MEASURES
        },
    }  # fmt: skip
