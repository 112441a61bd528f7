"""How the figures of an evaluation look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsi_cli.interpretation.colours import SLOT_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = ((SLOT_COLOURS[0], "-"), (SLOT_COLOURS[2], "--"), ("#1c2127", ":"))
"""A colour and a dash for each line of a figure; they differ in both."""

INK, DIM = "#1c2127", "#5f6872"


def style(axes: Axes, title: str) -> None:
    """Give axes a title on the left, and no frame at the top and the right."""
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
