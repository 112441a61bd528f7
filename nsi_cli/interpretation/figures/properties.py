"""How well each property is read from the slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nsi_cli.evaluation.records import Columns
from nsi_cli.interpretation.colours import SLOT_COLOURS
from nsi_cli.interpretation.figures.style import INK, style
from nsi_cli.interpretation.plots import Plotted, shown

if TYPE_CHECKING:
    from nsi_cli.interpretation.data_figure import DataFigure


@dataclass(frozen=True, eq=False, repr=False)
class PropertyBars(Plotted):
    """The measure of each property, with its interval and its chance level."""

    measured: Mapping[str, Mapping[str, Any]]  # by property

    def columns(self) -> Columns:
        """A row for each property."""
        rows = list(self.measured.values())
        nulls = [row.get("null") or {"value": np.nan, "ci95": [np.nan, np.nan]} for row in rows]
        columns: Columns = {
            "property": np.array(list(self.measured), dtype=object),
            "measure": np.array([row["measure"] for row in rows], dtype=object),
        }
        for name, found in (("", rows), ("null_", nulls)):
            columns[f"{name}value"] = np.array([row["value"] for row in found])
            for side, end in enumerate(("low", "high")):
                columns[f"{name}{end}"] = np.array([row["ci95"][side] for row in found])
        return columns

    def plot(self) -> DataFigure:
        """A bar for each property; the diamond is its chance level."""
        from nsi_cli.interpretation.data_figure import DataFigure

        data = self.columns()
        rows, value = np.arange(len(self.measured)), data["value"]
        figure = DataFigure(data, figsize=(5, 1.5 + 0.36 * len(rows)), layout="constrained")
        axes = figure.subplots()
        style(axes, "properties read from slots")
        axes.barh(rows, value, color=SLOT_COLOURS[0], height=0.6, label="value, 95 % CI")
        sides = _sides(value, data["low"], data["high"])
        axes.errorbar(value, rows, xerr=sides, fmt="none", ecolor=INK, lw=1.2, capsize=3)
        null = data["null_value"]
        axes.errorbar(
            null, rows, xerr=_sides(null, data["null_low"], data["null_high"]), fmt="D", ms=5,
            mfc="white", color=INK, lw=1, label="chance level, 95 %",
        )  # fmt: skip
        names = zip(self.measured, data["measure"].tolist(), strict=True)
        axes.set_yticks(rows, [shown(f"{name}, {measure}") for name, measure in names])
        axes.set(xlim=(0, 1.02), ylim=(len(rows) - 0.5, -0.5))
        figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
        return figure


def _sides(value: Any, low: Any, high: Any) -> Any:
    """The lengths of error bars to both sides, (2, n)."""
    return np.maximum(0, np.stack([value - low, high - value]))
