"""All figures of an evaluation, and the folder that they are saved in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsi_cli.evaluation.records import Columns, read_csv
from nsi_cli.interpretation.data_figure import SUFFIXES
from nsi_cli.interpretation.figures.confusion import ConfusionMatrix
from nsi_cli.interpretation.figures.properties import PropertyBars
from nsi_cli.interpretation.figures.recall import DIRECTIONS, RecallCurve
from nsi_cli.interpretation.figures.segmentation import KINDS, FgAriHistogram
from nsi_cli.interpretation.pages.slots.confusion import MOST_VALUES, Confusion
from nsi_cli.interpretation.plots import Plotted
from nsi_cli.schema import Categorical, Schema
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import read_json
from nsi_cli.support.reading import reason_of

_NO_MASKS = "the store has no masks"


@dataclass(frozen=True)
class Figures:
    """The figures of an evaluation by name: recall, properties, fg_ari, and confusion-PROPERTY."""

    found: Mapping[str, Plotted]
    missing: Mapping[str, str]
    """The reason why a figure is missing, by its name."""

    def __getitem__(self, name: str) -> Plotted:
        """The figure of that name. Raises `DataError` if there is none."""
        if name in self.found:
            return self.found[name]
        known = f"there are: {', '.join(self.found)}"
        raise DataError(f"no figure '{name}'", self.missing.get(name, known))

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def save(self, folder: Path | str) -> list[Path]:
        """Write each figure as SVG and PNG, and its data as CSV. Returns the paths of the SVGs.

        Raises `DataError` if a file cannot be written.
        """
        paths = [Path(folder) / f"{stem}.svg" for stem in _stems(self.found)]
        for figure, path in zip(self.found.values(), paths, strict=True):
            drawn = figure.plot()
            for suffix in SUFFIXES:
                drawn.save(path.with_suffix(suffix))
        return paths


def _stems(names: Iterable[str]) -> list[str]:
    """A file name for each name: without special characters, short, and unlike the others."""
    stems: list[str] = []
    for name in names:
        short = stem = re.sub(r"[^\w.-]+", "_", name)[:60]
        number = 1
        while stem.lower() in map(str.lower, stems):
            number += 1
            stem = f"{short}-{number}"
        stems.append(stem)
    return stems


def read_evaluation(path: Path) -> tuple[dict[str, Any], Columns]:
    """An evaluation and its records of scenes, by the path of its JSON.

    Raises `DataError` if there is none, or if it is damaged.
    """
    if not path.is_file():
        raise DataError(f"no evaluation at {path}", "run nsi eval first")
    again = "run nsi eval again"
    records = path.with_name(f"{path.stem}-scenes.csv")
    try:
        return read_json(path, "evaluation", again), read_csv(records)
    except (OSError, ValueError) as error:
        raise DataError(f"{records} cannot be read: {reason_of(error)}", again) from None


def figures_of(
    result: Mapping[str, Any],
    scenes: Columns,
    confusions: Sequence[Confusion],
    schema: Schema,
    excluded: Sequence[str] = (),
) -> Figures:
    """The figures of an evaluation, from its result, its records of scenes, and confusions."""
    matrices = {one.name: one for one in confusions}
    made = {
        "recall": _recall(result, scenes),
        "properties": _properties(result),
        "fg_ari": _fg_ari(scenes),
        **{
            f"confusion-{item.name}": _confusion(item, matrices.get(item.name), excluded)
            for item in schema.categorical
        },
    }
    return Figures(
        {name: one for name, one in made.items() if not isinstance(one, str)},
        {name: one for name, one in made.items() if isinstance(one, str)},
    )


# Each of these returns a figure, or the reason why there is none.


def _recall(result: Mapping[str, Any], scenes: Columns) -> Plotted | str:
    ranks = {name: scenes[f"{name}_rank"] for name in DIRECTIONS if f"{name}_rank" in scenes}
    return RecallCurve(ranks, result["retrieval"]) if ranks else "retrieval was not evaluated"


def _properties(result: Mapping[str, Any]) -> Plotted | str:
    measured = {name: own for name, own in (result.get("properties") or {}).items() if own}
    return PropertyBars(measured) if measured else "no property was evaluated"


def _fg_ari(scenes: Columns) -> Plotted | str:
    values = {kind: scenes[f"{kind}_fg_ari"] for kind in KINDS if f"{kind}_fg_ari" in scenes}
    return FgAriHistogram(scenes["index"].astype(int), values) if values else _NO_MASKS


def _confusion(
    item: Categorical, confusion: Confusion | None, excluded: Sequence[str]
) -> Plotted | str:
    if confusion is not None:
        return ConfusionMatrix(confusion)
    if item.name in excluded:
        return f"{item.name} was excluded from training"
    too_many = len(item.values) > MOST_VALUES
    return f"{item.name} has more than {MOST_VALUES} values" if too_many else _NO_MASKS
