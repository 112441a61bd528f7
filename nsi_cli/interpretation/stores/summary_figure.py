"""A store's summary as a figure: objects per scene, and a histogram of every property."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from nsi_cli.interpretation.colours import SLOT_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

ACROSS = 3
SMALL, SHORT = 12, 10
"""The most values, and the most letters of each, that fit into a panel; else they get a row."""

LONG = 38
"""The most letters of a value in a row; a longer one is cut in the middle."""

MAX_COMPONENTS = 6
"""The most components of a continuous property that are drawn."""

MAX_VALUES = 150
"""The most values of a categorical property that are drawn: the most frequent ones."""

_INK, _DIM, _BAR = "#1c2127", "#77808a", SLOT_COLOURS[0]
_WIDTH, _PANEL, _LINE, _GAP = 11.0, 2.3, 0.17, 0.75  # inches

Panel = tuple[str, int, Callable[["Axes"], None]]
"""A panel: its title, its number of missing values, and the function that draws it."""


def draw_summary(summary: dict[str, Any], title: str) -> Figure:
    """Draw the result of `nsi_cli.data.store.summary.summarize`."""
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

    panels, vocabularies = _parts(summary)
    rows = -(-len(panels) // ACROSS)
    lines = [-(-min(len(entry["counts"]), MAX_VALUES) // ACROSS) for entry in vocabularies.values()]
    heights = [_PANEL] * rows + [count * _LINE + 0.2 for count in lines]
    total = sum(heights) + _GAP * (len(heights) + 1)
    figure = Figure(figsize=(_WIDTH, total), dpi=110, facecolor="white")
    figure.text(0.02, 1 - 0.3 / total, title, fontsize=13, weight="bold", color=_INK, va="center")
    grid = GridSpec(
        len(heights), ACROSS, figure, height_ratios=heights, left=0.07, right=0.98,
        top=1 - 0.85 / total, bottom=0.4 / total, hspace=_GAP * len(heights) / sum(heights),
        wspace=0.25,
    )  # fmt: skip
    for index, (name, missing, draw) in enumerate(panels):
        axes = figure.add_subplot(grid[divmod(index, ACROSS)])
        _style(axes, name, missing)
        draw(axes)
    for row, (name, entry) in enumerate(vocabularies.items(), start=rows):
        _draw_columns(figure, grid[row, :], name, entry)
    return figure


def _parts(summary: dict[str, Any]) -> tuple[list[Panel], dict[str, Any]]:
    """The panels of one size, and the vocabularies that need a row of their own."""
    panels: list[Panel] = [("objects per scene", 0, partial(_draw_lengths, summary["splits"]))]
    vocabularies = {}
    for name, entry in (summary["properties"] | _scene_label(summary)).items():
        missing = entry["missing"]
        if entry["kind"] != "categorical":
            parts = entry["components"]
            for index, part in enumerate(parts[:MAX_COMPONENTS]):
                title = f"{name}[{index}]" if len(parts) > 1 else name
                panels.append((title, missing, partial(_draw_spread, part)))
        elif len(entry["counts"]) > SMALL or max(map(len, entry["counts"]), default=0) > SHORT:
            vocabularies[name] = entry
        else:
            most = max(entry["counts"].values(), default=0)
            panels.append((name, missing, partial(_draw_values, entry["counts"], most)))
    return panels, vocabularies


def _scene_label(summary: dict[str, Any]) -> dict[str, Any]:
    """The scene labels of all splits, as the entry of a categorical property; {} without any."""
    if "scene_label" not in summary:
        return {}
    splits = summary["scene_label"]["splits"].values()
    counts: Counter[str] = Counter()
    for entry in splits:
        counts.update(entry["counts"])
    missing = sum(entry["missing"] for entry in splits)
    title = f"{summary['scene_label']['name']} of scenes"
    return {title: {"kind": "categorical", "missing": missing, "counts": dict(counts)}}


def _style(axes: Axes, title: str, missing: int = 0) -> None:
    axes.set_title(title, loc="left", fontsize=10, weight="bold", color=_INK)
    if missing:
        axes.set_title(f"{missing:,} missing", loc="right", fontsize=8, color=_DIM)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#c8ced4")
    axes.tick_params(colors=_DIM, labelsize=8, length=0)


def _draw_lengths(splits: dict[str, Any], axes: Axes) -> None:
    """The share of each split's scenes by number of objects, side by side."""
    from matplotlib.ticker import MaxNLocator

    shown = {name: entry for name, entry in splits.items() if entry["objects_per_scene"]}
    width = 0.8 / max(1, len(shown))
    for index, (name, entry) in enumerate(shown.items()):
        counts = entry["objects_per_scene"]["histogram"]
        shift = (index - (len(shown) - 1) / 2) * width
        centres = [count + shift for count in range(len(counts))]
        shares = [100 * count / entry["scenes"] for count in counts]
        label = f"{name}, {entry['scenes']:,}"
        colour = SLOT_COLOURS[index % len(SLOT_COLOURS)]
        axes.bar(centres, shares, width, color=colour, label=label)
    axes.set_ylabel("% of scenes", fontsize=8, color=_DIM)
    if shown:
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=3, fontsize=7.5, frameon=False,
            labelcolor=_DIM, handlelength=1, columnspacing=1.2,
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_values(counts: dict[str, int], most: int, axes: Axes, size: float = 8) -> None:
    """A bar for each value, from the top, with its count; ``most`` sets the scale."""
    rows = range(len(counts))
    axes.barh(rows, list(counts.values()), color=_BAR, height=0.62)
    axes.set_yticks(rows, [_cut(name) for name in counts])
    for index, count in enumerate(counts.values()):
        axes.text(count + most * 0.02, index, f"{count:,}", fontsize=size, color=_DIM, va="center")
    axes.set_xlim(0, max(1, most) * 1.2)
    axes.set_ylim(max(len(counts), 3) - 0.4, -0.6)
    axes.set_xticks([])
    axes.tick_params(axis="y", labelsize=size, labelcolor=_INK)


def _cut(name: str) -> str:
    """The name, or its beginning and end around an ellipsis if it is too long."""
    return name if len(name) <= LONG else f"{name[: LONG - 14]}…{name[-13:]}"


def _draw_columns(figure: Figure, spec: SubplotSpec, name: str, entry: dict[str, Any]) -> None:
    """A long vocabulary in columns, from left to right."""
    counts, title = entry["counts"], f"{name}: {len(entry['counts'])} values"
    if len(counts) > MAX_VALUES:
        frequent = set(sorted(counts, key=lambda value: -counts[value])[:MAX_VALUES])
        counts = {value: count for value, count in counts.items() if value in frequent}
        title = f"{title}, {MAX_VALUES} of them shown"
    lines = -(-len(counts) // ACROSS)
    columns = spec.subgridspec(1, 2 * ACROSS, width_ratios=[1.7, 1] * ACROSS, wspace=0.02)
    heading = figure.add_subplot(columns[0])
    _style(heading, title)
    heading.axis("off")
    values = list(counts.items())
    for column, start in enumerate(range(0, len(values), lines)):
        axes = figure.add_subplot(columns[2 * column + 1])
        _style(axes, "", 0 if column else entry["missing"])
        axes.spines["bottom"].set_visible(False)
        _draw_values(dict(values[start : start + lines]), max(counts.values()), axes, 6.5)
        axes.set_ylim(lines - 0.4, -0.6)


def _draw_spread(entry: dict[str, Any] | None, axes: Axes) -> None:
    """A component's histogram with its median and the middle half; empty without values."""
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
