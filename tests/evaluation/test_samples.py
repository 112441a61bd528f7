from __future__ import annotations

import numpy as np
import pytest

from nsi_cli.evaluation.compare import by_scene
from nsi_cli.evaluation.samples import mean_columns, mean_result


def test_numbers_are_averaged_and_words_kept() -> None:
    results = [
        {"a": {"value": value, "ci95": [value - 1, value + 1], "measure": "accuracy", "null": None},
         "scenes": 6, "ties": ties}
        for value, ties in ((1.0, 0), (2.0, 1), (6.0, 5))
    ]  # fmt: skip
    mean = mean_result(results)
    assert mean["a"]["value"] == 3
    assert mean["a"]["ci95"] == [2, 4]
    assert mean["a"]["slot_std"] == pytest.approx(np.std([1, 2, 6], ddof=1))
    assert (mean["a"]["measure"], mean["a"]["null"]) == ("accuracy", None)
    assert (mean["scenes"], mean["ties"]) == (6, 2)


def test_what_one_sample_lacks_has_no_mean() -> None:
    measured = {"value": 1.0, "ci95": [0.0, 1.0]}
    assert mean_result([{"a": measured, "b": measured}, {"a": None}]) == {"a": None}


def test_columns_of_floats_are_averaged() -> None:
    records = [
        {"slot": np.array([slot, 1]), "shape": np.array(["cube", ""], object),
         "iou": np.array([iou, np.nan])}
        for slot, iou in ((3, 0.5), (4, 1.0))
    ]  # fmt: skip
    mean = mean_columns(records)
    assert mean["slot"].tolist() == [3, 1]
    assert mean["shape"].tolist() == ["cube", ""]
    np.testing.assert_array_equal(mean["iou"], [0.75, np.nan])


def test_recall_of_the_mean_columns_is_the_mean_recall() -> None:
    ranks = ([1.0, 3.0, 1.0], [3.0, 1.0, 1.0])
    records = [
        {"index": np.arange(3), "image_to_schema_rank": np.array(draw),
         "image_to_schema_R@1": (np.array(draw) <= 1).astype(float)}
        for draw in ranks
    ]  # fmt: skip
    hits, counts = by_scene(mean_columns(records), {"index": np.arange(3)})["image → schema, R@1"]
    assert hits.sum() / counts.sum() == pytest.approx(2 / 3)
