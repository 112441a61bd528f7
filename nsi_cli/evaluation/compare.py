"""Runs against runs: means over seeds, and paired differences between settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation import DEPTHS
from nsi_cli.evaluation.bootstrap import Measured, measured, ratios, resampled
from nsi_cli.evaluation.groups import MEASURES
from nsi_cli.evaluation.metrics.segmentation import NAMES
from nsi_cli.evaluation.records import Columns
from nsi_cli.evaluation.table import TITLES

Numbers = npt.NDArray[np.float64]
ByScene = dict[str, tuple[Numbers, Numbers]]
"""For each metric its sums and counts by scene, both (n,): the metric is Σ sums / Σ counts."""


@dataclass(frozen=True)
class RunRecords:
    """An evaluated run: its name, the settings to compare, its seed, and its records."""

    name: str
    settings: Mapping[str, Any]
    seed: int
    scenes: Columns
    objects: Columns


def by_scene(scenes: Columns, objects: Columns) -> ByScene:
    """Every metric as sums and counts by scene, from the records of an evaluation."""
    index = scenes["index"].tolist()
    row_of = dict(zip(index, range(len(index)), strict=True))
    scene = np.array([row_of[number] for number in objects["index"].tolist()], dtype=np.int64)
    result: ByScene = {}
    for direction in ("image_to_schema", "schema_to_image"):
        ranks = scenes.get(f"{direction}_rank")
        if ranks is not None:
            for depth in (depth for depth in DEPTHS if depth < len(ranks)):  # else always 1
                hits = scenes.get(f"{direction}_R@{depth}", (ranks <= depth).astype(float))
                result[f"{TITLES[direction]}, R@{depth}"] = hits, np.ones(len(hits))
    for name in MEASURES:
        if name in objects:
            result[TITLES[name]] = _of_objects(objects[name], scene, len(index))
    for masks in ("slot_masks", "attention_masks", "kmeans"):
        for name in NAMES:
            values = scenes.get(f"{masks}_{name}")
            if values is not None:
                title = f"{TITLES[masks]}, {TITLES[name]}"
                result[title] = np.nan_to_num(values), (~np.isnan(values)).astype(float)
    for name, values in objects.items():
        if name.endswith("_read"):
            result[name.removesuffix("_read")] = _of_objects(values, scene, len(index))
    return result


def _of_objects(
    values: Numbers, scene: npt.NDArray[np.int64], scenes: int
) -> tuple[Numbers, Numbers]:
    known = ~np.isnan(values)
    sums = np.bincount(scene[known], values[known], minlength=scenes).astype(float)
    return sums, np.bincount(scene[known], minlength=scenes).astype(float)


def compare(runs: Sequence[RunRecords]) -> dict[str, Any]:
    """Compare runs that were evaluated on the same scenes, in the same order.

    Runs whose settings are equal form a group, named by the settings that differ between groups;
    the first run's group comes first. ``metrics`` has for each metric and group the ``values`` of
    its runs, their ``mean`` and their standard deviation ``std`` (n − 1; None for a single run).
    ``differences`` has for each further group the difference of its mean from the first group's,
    with a paired bootstrap interval: the scenes are resampled, and the runs are kept.
    """
    groups: list[list[RunRecords]] = []
    for run in runs:
        for group in groups:
            if group[0].settings == run.settings:
                group.append(run)
                break
        else:
            groups.append([run])
    scores = [[by_scene(run.scenes, run.objects) for run in group] for group in groups]
    names = [
        name for name in scores[0][0]
        if all(name in run and run[name][1].any() for group in scores for run in group)
    ]  # fmt: skip
    return {
        "groups": [
            {"name": name, "runs": [run.name for run in group], "seeds": [r.seed for r in group]}
            for name, group in zip(_names(groups), groups, strict=True)
        ],
        "metrics": {
            name: [_summary([run[name] for run in group]) for group in scores] for name in names
        },
        "differences": {
            name: [
                _difference([run[name] for run in scores[0]], [run[name] for run in group])
                for group in scores[1:]
            ]
            for name in names
        },
    }


def _names(groups: Sequence[Sequence[RunRecords]]) -> Iterator[str]:
    """Name each group by the settings that differ between groups."""
    settings = [group[0].settings for group in groups]
    keys = [key for key in settings[0] if any(s.get(key) != settings[0][key] for s in settings)]
    for own in settings:
        yield ", ".join(f"{key} {own.get(key)!s}" for key in keys) or "all runs"


def _summary(runs: Sequence[tuple[Numbers, Numbers]]) -> dict[str, Any]:
    values = [float(sums.sum() / counts.sum()) for sums, counts in runs]
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"values": values, "mean": float(np.mean(values)), "std": std}


def _difference(
    first: Sequence[tuple[Numbers, Numbers]], other: Sequence[tuple[Numbers, Numbers]]
) -> Measured:
    """The difference of the mean over runs, other − first, with its paired interval."""
    draws = []
    for rows in resampled(len(first[0][0]), seed=0):
        means = [
            np.mean([ratios(sums[rows], counts[rows]) for sums, counts in runs], axis=0)
            for runs in (other, first)
        ]
        draws.append(means[0] - means[1])
    value = _summary(other)["mean"] - _summary(first)["mean"]
    return measured(value, np.concatenate(draws))


def rows(comparison: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each metric: its name, each group's mean ± std, each further group's difference."""
    return [
        (
            name,
            *(_mean(summary) for summary in summaries),
            *(_signed(part) for part in comparison["differences"][name]),
        )
        for name, summaries in comparison["metrics"].items()
    ]


def columns(comparison: Mapping[str, Any]) -> tuple[str, ...]:
    """The headings of `rows`."""
    names = [group["name"] for group in comparison["groups"]]
    return "metric", *names, *(f"{name}: difference" for name in names[1:])


def _mean(summary: Mapping[str, Any]) -> str:
    spread = "" if summary["std"] is None else f" ± {summary['std']:.3f}"
    return f"{summary['mean']:.3f}{spread}"


def _signed(part: Measured) -> str:
    low, high = part["ci95"]
    return f"{part['value']:+.3f} ({low:+.3f} to {high:+.3f})"
