"""R@k for every k."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation import DEPTHS
from nsi_cli.evaluation.records import Columns
from nsi_cli.evaluation.table import TITLES
from nsi_cli.interpretation.figures.style import DIM, LINES, style
from nsi_cli.interpretation.plots import Plotted

if TYPE_CHECKING:
    from nsi_cli.interpretation.data_figure import DataFigure

DIRECTIONS = ("image_to_schema", "schema_to_image")


@dataclass(frozen=True, eq=False, repr=False)
class RecallCurve(Plotted):
    """The share of scenes whose true match is among the first k, in both directions."""

    ranks: Mapping[str, npt.NDArray[np.float64]]  # (n,) by direction
    measured: Mapping[str, Any]  # the metrics of each direction, with intervals

    def columns(self) -> Columns:
        """A row for each k, with the level of random ranks."""
        (count,) = {len(ranks) for ranks in self.ranks.values()}
        depths = np.arange(1, count + 1)
        recall = {
            name: np.searchsorted(np.sort(ranks), depths, side="right") / count
            for name, ranks in self.ranks.items()
        }
        return {"k": depths, **recall, "chance": depths / count}

    def plot(self) -> DataFigure:
        """A curve for each direction, with the intervals of R@1, R@5 and R@10."""
        from nsi_cli.interpretation.data_figure import DataFigure

        data = self.columns()
        figure = DataFigure(data, figsize=(5, 3.4), layout="constrained")
        axes = figure.subplots()
        style(axes, "retrieval: R@k")
        for (colour, dash), name in zip(LINES, self.ranks, strict=False):
            axes.plot(data["k"], data[name], dash, color=colour, label=TITLES[name])
            known = [(k, self.measured[name][f"R@{k}"]) for k in DEPTHS if k <= len(data["k"])]
            values = np.array([measure["value"] for _, measure in known])
            low, high = np.array([measure["ci95"] for _, measure in known]).T
            bars = (np.maximum(0, values - low), np.maximum(0, high - values))
            axes.errorbar([k for k, _ in known], values, bars, fmt="o", ms=4, color=colour)
        axes.plot(data["k"], data["chance"], ":", color=DIM, label="random ranks")
        axes.set(xscale="log", ylim=(0, 1.02), xlabel="k", ylabel="share of scenes")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.legend(fontsize=8, frameon=False)
        return figure
