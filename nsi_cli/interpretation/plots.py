"""Figures of images and the parts of them that slots take, for notebooks and files."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.predictions import Floats
from nsi_cli.evaluation.segments import upsampled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels = npt.NDArray[np.uint8]

_INCHES = 2.2
_DIMMED = 0.25
"""The brightness of an image outside a mask."""


class Plotted(ABC):
    """A result that can be drawn; a notebook shows its figure."""

    @abstractmethod
    def plot(self) -> Figure:
        """A matplotlib figure."""

    def _repr_png_(self) -> bytes:
        """The figure as PNG, for notebooks."""
        file = io.BytesIO()
        self.plot().savefig(file, format="png", dpi=110, bbox_inches="tight")
        return file.getvalue()


def spotlight(image: Pixels, mask: Floats) -> Pixels:
    """An image (S, S, 3), dark outside a mask (h, w) of any scale."""
    large = upsampled(mask / max(float(mask.max()), 1e-9), len(image))
    light = _DIMMED + (1 - _DIMMED) * np.clip(large, 0, 1)
    return (image * light[..., None]).astype(np.uint8)


def picture_grid(
    rows: Sequence[Sequence[tuple[Pixels, str]]], titles: Sequence[str] | None = None
) -> Figure:
    """A figure with rows of captioned pictures; ``titles`` stand left of the rows."""
    from matplotlib.figure import Figure

    columns = max((len(row) for row in rows), default=1)
    figure = Figure(figsize=(_INCHES * columns, 1.25 * _INCHES * max(1, len(rows))))
    for number, row in enumerate(rows):
        for column, (picture, caption) in enumerate(row):
            axes = figure.add_subplot(len(rows), columns, number * columns + column + 1)
            axes.imshow(picture)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(caption, fontsize=8)
            if titles and not column:
                axes.set_ylabel(titles[number], fontsize=9)
    figure.tight_layout()
    return figure
