"""The summary after a build: scenes, objects, the values of properties, and what was dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from nsi_cli import api
from nsi_cli.cli.output import print_table
from nsi_cli.support.progress import counted

EXAMPLES = 2
"""The most scenes with dropped objects that are named."""
FEW = 8
"""Values of a property that are all shown; of more, the most and the least frequent."""

_BAR, _WORD = 12, 30
_EIGHTHS = " ▏▎▍▌▋▊▉█"

Rows = Iterator[tuple[str, ...]]


def print_build(out: Path, build: dict[str, Any]) -> None:
    """Say what was built, as tables: splits, properties, and scenes that were left out."""
    summary, figure = api.store_summary(out)
    typer.secho(str(out), bold=True)
    typer.echo(f"{build['task']}, images of {build['image_size']} × {build['image_size']}")
    columns = ("split", "scenes", "objects", "a scene", "mean", "dropped")
    print_table("", columns, list(_splits(summary)))
    for line in _dropped(summary, build):
        typer.echo(line)
    print_table("", ("property", "", "objects", "%", ""), list(_values(summary)), left=(1, 4))
    spreads = list(_spreads(summary))
    if spreads:
        print_table("", ("property", "min", "5 %", "median", "95 %", "max"), spreads)
    if "scene_label" in summary:
        splits = summary["scene_label"]["splits"]
        columns = (f"{summary['scene_label']['name']} of scenes", *splits)
        print_table("", columns, list(_scene_labels(splits)))
    for line in _vocabulary(build):
        typer.echo(line)
    for group in summary["skipped"]:
        typer.echo(f"skipped: {group['scenes']:,} × {group['reason']} ({group['example']})")
    typer.echo(f"figure: {figure}")


def _dropped(summary: dict[str, Any], build: dict[str, Any]) -> Iterator[str]:
    """Why objects were left out, if any were, and scenes in which they were."""
    dropped, hidden = (
        sum(entry[name] for entry in summary["splits"].values())
        for name in ("dropped_objects", "hidden_objects")
    )
    if dropped > hidden:
        reason = (
            "no pixel after the crop or the resize"
            if build["masks"]
            else "no part in the image: the box is outside it, or has no width or height"
        )
        yield f"dropped: {_have(dropped - hidden)} {reason}"
    if hidden:
        yield f"dropped: {_have(hidden)} no pixel in the dataset's own mask"
    named = [name for entry in build["splits"].values() for name in entry.get("dropped_in", ())]
    if named:
        more = ", …" * (len(named) > EXAMPLES)
        yield f"scenes with dropped objects: {', '.join(named[:EXAMPLES])}{more}"
    if dropped:
        yield ""


def _have(count: int) -> str:
    return f"{counted(count, 'objects')} {'has' if count == 1 else 'have'}"


def _vocabulary(build: dict[str, Any]) -> Iterator[str]:
    """What became of values that a given vocabulary lacked."""
    for name, values in build.get("vocabulary", {}).get("added", {}).items():
        yield f"added to the vocabulary, {name}: {', '.join(values)}"
    lost: Counter[tuple[str, str]] = Counter()
    for entry in build["splits"].values():
        for name, values in entry.get("lost_values", {}).items():
            lost.update({(name, value): count for value, count in values.items()})
    for (name, value), count in lost.most_common():
        yield f"stored as missing: {count:,} × {name} {value}"


def _splits(summary: dict[str, Any]) -> Rows:
    for split, entry in summary["splits"].items():
        per = entry["objects_per_scene"]
        scenes, objects, dropped = (
            f"{entry[name]:,}" for name in ("scenes", "objects", "dropped_objects")
        )
        spread = (_range(per["min"], per["max"]), f"{per['mean']:.1f}") if per else ("", "")
        yield split, scenes, objects, *spread, dropped


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _values(summary: dict[str, Any]) -> Rows:
    """A row for each value of a property, with a small bar."""
    for name, entry in summary["properties"].items():
        if entry["kind"] != "categorical":
            continue
        counts = entry["counts"]
        total = max(1, sum(counts.values()) + entry["missing"])
        most = max(1, *counts.values(), entry["missing"])
        title = name
        for value, count in _shown(counts):
            bar = "" if count is None else _bar(count / most)
            share = "" if count is None else f"{100 * count / total:.1f}"
            yield title, _cut(value), "" if count is None else f"{count:,}", share, bar
            title = ""
        if entry["missing"]:
            count = entry["missing"]
            yield "", "(missing)", f"{count:,}", f"{100 * count / total:.1f}", _bar(count / most)


def _scene_labels(splits: dict[str, Any]) -> Rows:
    """A row for each value of the scene labels, with the number of scenes in each split."""
    totals: Counter[str] = Counter()
    for entry in splits.values():
        totals.update(entry["counts"])
    for value, total in _shown(totals):
        counts = [entry["counts"].get(value, 0) for entry in splits.values()]
        yield _cut(value), *("" if total is None else f"{count:,}" for count in counts)
    if any(entry["missing"] for entry in splits.values()):
        yield "(missing)", *(f"{entry['missing']:,}" for entry in splits.values())


def _shown(counts: dict[str, int]) -> Iterator[tuple[str, int | None]]:
    """All values of a short vocabulary by id; the most and least frequent of a long one."""
    if len(counts) <= FEW:
        yield from counts.items()
        return
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    yield from ranked[: FEW - 4]
    yield f"… {len(ranked) - FEW + 2} more …", None
    yield from ranked[-2:]


def _cut(word: str) -> str:
    return word if len(word) <= _WORD else word[: _WORD - 1] + "…"


def _bar(share: float) -> str:
    """A bar of up to `_BAR` characters, to an eighth of one."""
    eighths = round(share * _BAR * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _spreads(summary: dict[str, Any]) -> Rows:
    """A row for each component of a continuous property."""
    for name, entry in summary["properties"].items():
        if entry["kind"] != "continuous":
            continue
        for index, part in enumerate(entry["components"]):
            title = name if len(entry["components"]) == 1 else f"{name}[{index}]"
            keys = ("min", "5%", "median", "95%", "max")
            yield title, *("" if part is None else f"{part[key]:.3g}" for key in keys)
