"""The distribution of FG-ARI over the scenes of a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.records import Columns
from nsi_cli.evaluation.table import TITLES
from nsi_cli.interpretation.figures.style import LINES, style
from nsi_cli.interpretation.plots import Plotted

if TYPE_CHECKING:
    from nsi_cli.interpretation.data_figure import DataFigure

KINDS = ("slot_masks", "attention_masks", "kmeans")
_BINS = 20


@dataclass(frozen=True, eq=False, repr=False)
class FgAriHistogram(Plotted):
    """The FG-ARI of each scene, by kind of masks."""

    index: npt.NDArray[np.int64]  # (n,), of the scenes in the split
    values: Mapping[str, npt.NDArray[np.float64]]  # (n,) by kind; NaN where it is not measured

    def columns(self) -> Columns:
        """A row for each scene."""
        return {"index": self.index, **self.values}

    def plot(self) -> DataFigure:
        """A histogram for each kind of masks, with a line at its mean."""
        from nsi_cli.interpretation.data_figure import DataFigure

        figure = DataFigure(self.columns(), figsize=(5, 3.4), layout="constrained")
        axes = figure.subplots()
        style(axes, "FG-ARI of scenes")
        known = {kind: values[~np.isnan(values)] for kind, values in self.values.items()}
        lowest = min(0.0, *(float(values.min()) for values in known.values()))
        edges = np.linspace(lowest, 1, _BINS + 1)
        for (colour, dash), (kind, values) in zip(LINES, known.items(), strict=False):
            shares = np.histogram(values, edges)[0] / len(values)
            mean = float(values.mean())
            label = f"{TITLES[kind]}, mean {mean:.3f}"
            axes.stairs(shares, edges, color=colour, ls=dash, lw=1.6, label=label)
            axes.axvline(mean, color=colour, ls=dash, lw=0.9)
        axes.set(xlabel="FG-ARI", ylabel="share of scenes")
        axes.legend(fontsize=8, frameon=False)
        return figure
