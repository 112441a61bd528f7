"""Runs against runs: groups, means over seeds, paired differences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nsi_cli.evaluation.compare import RunRecords, by_scene, columns, compare, rows
from nsi_cli.evaluation.suite import Evaluated, evaluate

SCENES = 400


def records(share: float, seed: int, noise: int = 0, **settings: Any) -> RunRecords:
    """A run with recall and pointing of about ``share``; all find the same scenes difficult."""
    difficulty = np.random.default_rng(0).random(SCENES)
    luck = np.random.default_rng((seed, noise, 1)).normal(0, 0.02, SCENES)
    hits = difficulty + luck < share
    objects = {
        "index": np.repeat(np.arange(SCENES), 2),
        "pointing": np.repeat(hits, 2).astype(float),
        "size_read": np.full(2 * SCENES, np.nan),
    }
    ranks = np.where(hits, 1.0, 20.0)
    scenes = {"index": np.arange(SCENES), "image_to_schema_rank": ranks}
    return RunRecords(f"run{seed}", {"tau": 1.0, **settings}, seed, scenes, objects)


def test_runs_of_equal_settings_are_a_group_named_by_what_differs() -> None:
    runs = [
        records(0.8, 0, alignment="max"),
        records(0.7, 0, alignment="hungarian"),
        records(0.8, 1, alignment="max"),
    ]
    groups = compare(runs)["groups"]
    assert [group["name"] for group in groups] == ["alignment max", "alignment hungarian"]
    assert [group["runs"] for group in groups] == [["run0", "run1"], ["run0"]]
    assert [group["seeds"] for group in groups] == [[0, 1], [0]]
    assert compare(runs[::2])["groups"][0]["name"] == "all runs"


def test_means_and_deviations_are_over_runs() -> None:
    runs = [records(share, seed) for seed, share in enumerate((0.5, 0.6, 0.8))]
    (summary,) = compare(runs)["metrics"]["image → schema, R@1"]
    expected = [(run.scenes["image_to_schema_rank"] == 1).mean() for run in runs]
    assert summary["values"] == pytest.approx(expected)
    assert summary["mean"] == pytest.approx(np.mean(expected))
    assert summary["std"] == pytest.approx(np.std(expected, ddof=1))
    (alone,) = compare(runs[:1])["metrics"]["pointing"]
    assert alone["std"] is None


def test_a_paired_difference_is_narrower_than_an_unpaired_one() -> None:
    runs = [records(0.60, 0, kind="a"), records(0.63, 0, noise=1, kind="b")]
    (difference,) = compare(runs)["differences"]["pointing"]
    low, high = difference["ci95"]
    assert low < difference["value"] < high
    assert low > 0  # three points are told apart on 400 scenes
    assert high - low < 0.06 < 2 * 1.96 * (2 * 0.24 / SCENES) ** 0.5


def test_equal_runs_do_not_differ() -> None:
    runs = [records(0.6, 0, kind="a"), records(0.6, 0, kind="b")]
    (difference,) = compare(runs)["differences"]["pointing"]
    assert difference == {"value": 0, "ci95": [0, 0]}


def test_a_metric_that_a_run_lacks_is_left_out() -> None:
    first, second = records(0.6, 0, kind="a"), records(0.6, 1, kind="b")
    second = replace(second, objects={"index": second.objects["index"]})
    names = set(compare([first, second])["metrics"])
    assert names == {f"image → schema, R@{depth}" for depth in (1, 5, 10)}
    assert "size" not in compare([first])["metrics"]  # no object has a value


def test_metrics_by_scene_are_those_of_the_suite(make_predictions, schema) -> None:
    tokens = np.random.default_rng(0).random((12, 4, 4, 2), np.float32)

    def encode(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        weights = np.random.default_rng(1).normal(size=(primitives.shape[-1], 5))
        return (np.nan_to_num(primitives) @ weights).astype(np.float32)

    evaluated: Evaluated = evaluate(
        [make_predictions(12, tokens=tokens)], schema, task="toy", split="test",
        encode_primitives=encode,
    )  # fmt: skip
    values = {
        name: sums.sum() / counts.sum()
        for name, (sums, counts) in by_scene(evaluated.scenes, evaluated.objects).items()
    }
    result = evaluated.result
    assert values["schema → image, R@5"] == pytest.approx(
        result["retrieval"]["schema_to_image"]["R@5"]["value"]
    )
    for title, section, name in (
        ("attention masks, FG-ARI", "attention_masks", "fg_ari"),
        ("k-means, mIoU", "kmeans", "miou"),
    ):
        assert values[title] == pytest.approx(result["segmentation"][section][name]["value"])
    assert values["pointing"] == pytest.approx(result["grounding"]["pointing"]["value"])
    assert values["shape"] == pytest.approx(result["properties"]["shape"]["value"])


def test_the_table_has_a_column_for_each_group_and_difference() -> None:
    runs = [records(0.6, seed, kind=kind) for kind in ("a", "b") for seed in (0, 1)]
    comparison = compare(runs)
    assert columns(comparison) == ("metric", "kind a", "kind b", "kind b: difference")
    table = rows(comparison)
    assert {len(row) for row in table} == {4}
    assert table[-1][0] == "pointing"
    assert table[-1][3] == "+0.000 (+0.000 to +0.000)"
    assert " ± " in table[-1][1]
