"""Figures of images and the parts of them that slots take, for notebooks and files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.metrics.grounding import peak_pixels
from nsi_cli.evaluation.predictions import Floats
from nsi_cli.evaluation.records import Columns
from nsi_cli.evaluation.segments import segments, upsampled
from nsi_cli.interpretation.colours import ink_on, slot_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nsi_cli.interpretation.data_figure import DataFigure

Pixels = npt.NDArray[np.uint8]

LONGEST = 34
"""Number of characters of a name or value that a figure shows."""

_ACROSS = 8
"""Maximum number of pictures beside each other."""

_INCHES, _LINE = 2.2, 0.15
"""The side of a picture, and the height of a line of its caption."""

_DIMMED = 0.25
"""The brightness of an image outside a mask."""

_TINT = 0.55
"""The share of a slot's colour in its segment."""


class Plotted(ABC):
    """A result that can be drawn and saved; a notebook shows its figure."""

    @abstractmethod
    def columns(self) -> Columns:
        """The data behind the figure: arrays of the same length, by name."""

    @abstractmethod
    def plot(self) -> DataFigure:
        """A matplotlib figure with these data."""

    def __repr__(self) -> str:
        columns = self.columns()
        rows = len(next(iter(columns.values()), ()))
        return f"<{type(self).__name__}: {rows} rows of {', '.join(columns)}>"

    def save(self, path: Path | str) -> Path:
        """Write the figure as PNG or SVG, and the data as CSV; see `DataFigure.save`."""
        return self.plot().save(path)

    def _repr_png_(self) -> bytes:
        """The figure as PNG, for notebooks."""
        return self.plot()._repr_png_()


@dataclass(frozen=True)
class Picture:
    """A picture with a caption, and the numbers of some slots on it."""

    pixels: Pixels  # (S, S, 3)
    caption: str = ""
    slots: Sequence[tuple[int, int, int]] = ()  # slot, row and column


def spotlight(image: Pixels, mask: Floats) -> Pixels:
    """An image (S, S, 3), dark outside a mask (h, w) of any scale."""
    large = upsampled(mask / max(float(mask.max()), 1e-9), len(image))
    light = _DIMMED + (1 - _DIMMED) * np.clip(large, 0, 1)
    return (image * light[..., None]).astype(np.uint8)


def painted(image: Pixels, masks: Floats, caption: str = "") -> Picture:
    """An image (S, S, 3) in grey, the segment of each mask (K, h, w) in its slot's colour.

    The number of a slot is at the peak of its mask; a slot without a pixel has none.
    """
    (largest,) = segments(masks[None], len(image))
    colours = [list(bytes.fromhex(slot_colour(slot)[1:])) for slot in range(len(masks))]
    grey = image.mean(-1, keepdims=True)
    tinted = (1 - _TINT) * grey + _TINT * np.array(colours, np.float32)[largest]
    used = np.unique(largest).tolist()
    peaks = peak_pixels(masks, len(image))
    numbers = [(slot, *peaks[slot].tolist()) for slot in used]
    return Picture(tinted.astype(np.uint8), caption, numbers)


def picture_grid(rows: Sequence[Sequence[Picture]], data: Columns, title: str = "") -> DataFigure:
    """A figure with rows of pictures under a title. Long rows are broken."""
    from nsi_cli.interpretation.data_figure import DataFigure

    lines = [
        row[start : start + _ACROSS] for row in rows for start in range(0, len(row), _ACROSS)
    ] or [[]]
    across = max(1, *map(len, lines))
    heights = [
        _INCHES + _LINE * max((_lines(one.caption) for one in line), default=0) for line in lines
    ]
    size = (_INCHES * across, sum(heights) + 1.2 * _LINE * _lines(title))
    figure = DataFigure(data, figsize=size, layout="constrained")
    if title:
        figure.suptitle(shown(title), fontsize=9)
    grid = figure.add_gridspec(len(lines), across, height_ratios=heights)
    for number, line in enumerate(lines):
        for column, picture in enumerate(line):
            _draw(figure.add_subplot(grid[number, column]), picture)
    return figure


def shown(text: str, most: int = LONGEST) -> str:
    """A text as matplotlib shows it: a $ is no formula, and the middle of a long line is cut."""
    lines = [
        line if len(line) <= most else f"{line[: most - 9]}…{line[-8:]}"
        for line in text.splitlines()
    ]
    return "\n".join(lines).replace("$", r"\$")


def _lines(text: str) -> int:
    return len(text.splitlines())


def _draw(axes: Axes, picture: Picture) -> None:
    axes.imshow(picture.pixels)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(shown(picture.caption), fontsize=8)
    for slot, row, column in picture.slots:
        colour = slot_colour(slot)
        badge = {"boxstyle": "round,pad=0.25", "fc": colour, "ec": "white", "lw": 0.6}
        axes.text(
            column, row, str(slot + 1), color=ink_on(colour), fontsize=7, ha="center", va="center",
            bbox=badge,
        )  # fmt: skip
