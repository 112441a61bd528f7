"""A confusion matrix as a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nsi_cli.evaluation.records import Columns
from nsi_cli.interpretation.figures.style import style
from nsi_cli.interpretation.pages.slots.confusion import Confusion
from nsi_cli.interpretation.plots import Plotted, shown

if TYPE_CHECKING:
    from nsi_cli.interpretation.data_figure import DataFigure

_MOST_NUMBERS = 12
"""Maximum number of values with a number in each cell."""

_LETTER = 0.075
"""The width of a letter of a value, in inches."""


@dataclass(frozen=True, eq=False, repr=False)
class ConfusionMatrix(Plotted):
    """What the slots of objects are read as, for each true value of a property."""

    confusion: Confusion

    def columns(self) -> Columns:
        """A row for each pair of a true value and a value that was read."""
        values = np.array(self.confusion.values, dtype=object)
        return {
            "true": values.repeat(len(values)),
            "read": np.tile(values, len(values)),
            "objects": self.confusion.counts.ravel(),
            "share": self.confusion.shares.ravel(),
        }

    def plot(self) -> DataFigure:
        """The shares of each true value's objects, a row for each value."""
        from nsi_cli.interpretation.data_figure import DataFigure

        found, count = self.confusion, len(self.confusion.values)
        names = [shown(value, 24) for value in found.values]
        side = 1 + 0.3 * max(4, count) + _LETTER * max(map(len, names))
        figure = DataFigure(self.columns(), figsize=(side + 1, side), layout="constrained")
        axes = figure.subplots()
        style(axes, shown(f"{found.name}: {100 * found.accuracy:.1f} % read right", 60))
        image = axes.imshow(found.shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(count), names, rotation=90)
        axes.set_yticks(range(count), names)
        axes.set(xlabel="read from the slot", ylabel="true value")
        if count <= _MOST_NUMBERS:
            for (row, column), share in np.ndenumerate(found.shares):
                ink = "white" if share > 0.5 else "black"
                text = f"{100 * share:.0f}"
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color=ink)
        figure.colorbar(image, ax=axes, shrink=0.7, label="share of the row")
        return figure
