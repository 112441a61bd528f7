"""A store's summary as a figure: objects per scene, and a histogram of every property."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli.interpretation.colours import SLOT_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

ACROSS = 3
SMALL = 12
"""Values that fit into one panel; more take a row of their own, in columns."""

COMPONENTS = 6
"""Components of a continuous property that are drawn."""

MOST = 150
"""Values that are drawn at most, the most frequent ones."""

_INK, _DIM, _BAR = "#1c2127", "#77808a", SLOT_COLOURS[0]
_WIDE, _TALL, _LINE = 11.0, 2.3, 0.17  # inches

Row = tuple[float, list[tuple[str, Any]]]
"""The height of a row of panels, and what they show."""


def draw_summary(summary: dict[str, Any], title: str, path: Path) -> None:
    """Draw what `nsi_cli.data.store.summary.summarize` found, as a PNG at ``path``."""
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

    rows = _rows(summary)
    heights = [height for height, _ in rows]
    gap = 0.75
    tall = sum(heights) + gap * (len(rows) + 1)
    figure = Figure(figsize=(_WIDE, tall), facecolor="white")
    figure.text(0.02, 1 - 0.3 / tall, title, fontsize=13, weight="bold", color=_INK, va="center")
    grid = GridSpec(
        len(rows), ACROSS, figure, height_ratios=heights, left=0.07, right=0.98,
        top=1 - 0.85 / tall, bottom=0.4 / tall, hspace=gap * len(rows) / sum(heights), wspace=0.25,
    )  # fmt: skip
    for place, (_, panels) in enumerate(rows):
        _draw_row(figure, grid, place, panels)
    figure.savefig(path, format="png", dpi=110)


def _rows(summary: dict[str, Any]) -> list[Row]:
    """Panels of one size three across, then a row for each long vocabulary."""
    small: list[tuple[str, Any]] = [("objects per scene", summary["splits"])]
    large: list[Row] = []
    for name, entry in summary["properties"].items():
        if entry["kind"] == "categorical" and len(entry["counts"]) > SMALL:
            lines = -(-min(len(entry["counts"]), MOST) // ACROSS)
            large.append((lines * _LINE + 0.2, [(name, entry)]))
        elif entry["kind"] == "categorical":
            small.append((name, entry))
        else:
            small += _components(name, entry)
    return [(_TALL, small[at : at + ACROSS]) for at in range(0, len(small), ACROSS)] + large


def _components(name: str, entry: dict[str, Any]) -> list[tuple[str, Any]]:
    """A panel for each component of a continuous property, for the first few of many."""
    parts, missing = entry["components"], entry["missing"]
    return [
        (f"{name}[{place}]" if len(parts) > 1 else name, {"spread": part, "missing": missing})
        for place, part in enumerate(parts[:COMPONENTS])
    ]


def _draw_row(figure: Figure, grid: GridSpec, row: int, panels: Sequence[tuple[str, Any]]) -> None:
    for column, (name, entry) in enumerate(panels):
        if entry.get("kind") == "categorical" and len(entry["counts"]) > SMALL:
            return _draw_columns(figure, grid, row, name, entry)
        axes = figure.add_subplot(grid[row, column])
        _plain(axes, name, entry.get("missing", 0))
        if "counts" in entry:
            _draw_values(axes, entry["counts"], max(entry["counts"].values(), default=0))
        elif "spread" in entry:
            _draw_spread(axes, entry["spread"])
        else:
            _draw_lengths(axes, entry)
    return None


def _plain(axes: Axes, title: str, missing: int = 0) -> None:
    axes.set_title(title, loc="left", fontsize=10, weight="bold", color=_INK)
    if missing:
        axes.set_title(f"{missing:,} missing", loc="right", fontsize=8, color=_DIM)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#c8ced4")
    axes.tick_params(colors=_DIM, labelsize=8, length=0)


def _draw_lengths(axes: Axes, splits: dict[str, Any]) -> None:
    """The share of each split's scenes by how many objects they have, side by side."""
    from matplotlib.ticker import MaxNLocator

    shown = {name: entry for name, entry in splits.items() if entry["objects_per_scene"]}
    wide = 0.8 / max(1, len(shown))
    for place, (name, entry) in enumerate(shown.items()):
        counts = entry["objects_per_scene"]["histogram"]
        at = [count + (place - (len(shown) - 1) / 2) * wide for count in range(len(counts))]
        shares = [100 * count / entry["scenes"] for count in counts]
        label = f"{name}, {entry['scenes']:,}"
        axes.bar(at, shares, wide, color=SLOT_COLOURS[place % len(SLOT_COLOURS)], label=label)
    axes.set_ylabel("% of scenes", fontsize=8, color=_DIM)
    if shown:
        axes.legend(fontsize=7, frameon=False, labelcolor=_INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_values(axes: Axes, counts: dict[str, int], most: int, size: float = 8) -> None:
    """A bar a value, from the top, its count at its end."""
    names = list(counts)
    axes.barh(names, list(counts.values()), color=_BAR, height=0.62)
    for place, count in enumerate(counts.values()):
        axes.text(count + most * 0.02, place, f"{count:,}", fontsize=size, color=_DIM, va="center")
    axes.set_xlim(0, max(1, most) * 1.2)
    axes.set_ylim(max(len(names), 3) - 0.4, -0.6)
    axes.set_xticks([])
    axes.tick_params(axis="y", labelsize=size, labelcolor=_INK)


def _draw_columns(figure: Figure, grid: GridSpec, row: int, name: str, entry: Any) -> None:
    """A long vocabulary in columns, from left to right."""
    from matplotlib.gridspec import GridSpecFromSubplotSpec

    counts, title = entry["counts"], f"{name}: {len(entry['counts'])} values"
    if len(counts) > MOST:
        kept = sorted(
            sorted(counts, key=lambda value: -counts[value])[:MOST], key=list(counts).index
        )
        counts, title = {value: counts[value] for value in kept}, f"{title}, {MOST} of them shown"
    names = list(counts)
    lines = -(-len(names) // ACROSS)
    columns = GridSpecFromSubplotSpec(
        1, 2 * ACROSS, grid[row, :], width_ratios=[1.7, 1] * ACROSS, wspace=0.02
    )
    heading = figure.add_subplot(columns[0])
    _plain(heading, title)
    heading.axis("off")
    for column in range(ACROSS):
        part = {name: counts[name] for name in names[column * lines : (column + 1) * lines]}
        if not part:
            continue
        axes = figure.add_subplot(columns[2 * column + 1])
        _plain(axes, "", 0 if column else entry["missing"])
        axes.spines["bottom"].set_visible(False)
        _draw_values(axes, part, max(counts.values()), 6.5)
        axes.set_ylim(lines - 0.4, -0.6)


def _draw_spread(axes: Axes, entry: dict[str, Any] | None) -> None:
    """A component's histogram with its median and the middle half; empty if none has it."""
    if entry is None:
        return
    counts, low, high = (entry["histogram"][key] for key in ("counts", "low", "high"))
    edges = [low + (high - low) * step / len(counts) for step in range(len(counts) + 1)]
    axes.stairs(counts, edges, color=_BAR, fill=True)
    axes.axvspan(entry["25%"], entry["75%"], color=_INK, alpha=0.06, lw=0)
    axes.axvline(entry["median"], color=_INK, lw=1)
    axes.set_xlabel(
        f"median {entry['median']:.3g}; shaded: the middle half", fontsize=7.5, color=_DIM
    )
    axes.set_ylabel("objects", fontsize=8, color=_DIM)
