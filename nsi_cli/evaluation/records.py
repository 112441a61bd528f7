"""Records: a row for each scene and each object of a split, from which metrics are computed."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.predictions import Bytes, Floats, Predictions
from nsi_cli.schema import Categorical, Schema
from nsi_cli.support.files import replacing

Columns = dict[str, npt.NDArray[Any]]
"""Arrays of the same length by column name, with a value for each scene or for each object."""


class Facts:
    """What is known about scenes and objects before any metric: annotation, mask and alignment.

    A scene has its ``index`` in the split and its number of ``objects``. An object has the
    ``index`` of its scene, its ``row`` in the annotation from 1, its properties (a column for each
    component of a continuous one), the ``slot`` that it aligns with (−1 if it has none) and their
    ``score``; with true masks also ``visible``, the share of the image that its mask covers, and
    ``crowding``, the distance from its centre to that of the nearest other object, as a share of
    the image's side.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._scenes: list[Columns] = []
        self._objects: list[Columns] = []

    def update(self, predictions: Predictions) -> None:
        """Add a batch."""
        present = predictions.present
        self._scenes.append({"index": predictions.index, "objects": present.sum(1)})
        scene, row = np.nonzero(present)
        objects = {
            "index": predictions.index[scene],
            "row": row + 1,
            **self._properties(predictions.primitives[scene, row]),
            "slot": predictions.aligned_slot[scene, row],
            "score": predictions.aligned_score[scene, row],
        }
        if predictions.true_masks is not None:
            slots = present.shape[1]
            shapes = [visibility(mask, slots) for mask in predictions.true_masks]
            for number, name in enumerate(("visible", "crowding")):
                objects[name] = np.array([shape[number] for shape in shapes])[scene, row]
        self._objects.append(objects)

    def scenes(self) -> Columns:
        """The columns of scenes."""
        return joined(self._scenes)

    def objects(self) -> Columns:
        """The columns of objects."""
        return joined(self._objects)

    def _properties(self, primitives: Floats) -> Columns:
        values = self._schema.decode(primitives)
        columns: Columns = {}
        for item in self._schema.properties:
            own = [value[item.name] for value in values]
            if isinstance(item, Categorical):
                columns[item.name] = np.array([word or "" for word in own], dtype=object)
                continue
            numbers = primitives[:, self._schema.columns[item.name]]
            names = (
                [item.name] if item.size == 1 else [f"{item.name}_{i}" for i in range(item.size)]
            )
            columns |= dict(zip(names, numbers.T, strict=True))
        return columns


def visibility(mask: Bytes, objects: int) -> tuple[Floats, Floats]:
    """The share of the image (T,) that each object of a mask (S, S) covers, and its crowding (T,).

    Crowding is the distance from the object's centre of mass to the nearest other one, as a share
    of S. It is NaN for an object without a pixel, and if no other object has one.
    """
    side, numbers = len(mask), mask.ravel()
    pixels, *sums = (
        np.bincount(numbers, weights, minlength=objects + 1)[1 : objects + 1]
        for weights in (None, *_positions(side))
    )
    with np.errstate(invalid="ignore"):
        centres = np.stack(sums, 1) / pixels[:, None] / side  # NaN without a pixel
    distances = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    np.fill_diagonal(distances, np.nan)
    nearest = np.where(np.isnan(distances), np.inf, distances).min(1, initial=np.inf)
    return (
        (pixels / mask.size).astype(np.float32),
        np.where(np.isinf(nearest), np.nan, nearest).astype(np.float32),
    )


@cache
def _positions(side: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The row and the column of each pixel of a mask, (side²,) each."""
    rows, columns = np.divmod(np.arange(side * side, dtype=np.float64), side)
    return rows, columns


def joined(batches: list[Columns]) -> Columns:
    """The columns of several batches, in order."""
    if not batches:
        return {}
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def write_csv(path: Path, columns: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write columns as CSV, with seven significant digits; NaN is an empty cell."""
    cells = [[_cell(value) for value in column.tolist()] for column in columns.values()]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*cells, strict=True))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.7g}"
    return str(value)


def read_csv(path: Path) -> Columns:
    """Read the columns of a `write_csv` file: numbers as float64, empty cells as NaN, else text."""
    with path.open(newline="", encoding="utf-8") as file:
        names, *rows = csv.reader(file)
    cells = zip(*rows, strict=True) if rows else ([] for _ in names)
    return {name: _column(list(column)) for name, column in zip(names, cells, strict=True)}


def _column(cells: list[str]) -> npt.NDArray[Any]:
    try:
        return np.array([float(cell or "nan") for cell in cells])
    except ValueError:
        return np.array(cells, dtype=object)
