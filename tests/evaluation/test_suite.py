from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsi_cli.evaluation import METRIC_NAMES
from nsi_cli.evaluation.suite import evaluate
from nsi_cli.evaluation.table import rows
from nsi_cli.support.errors import ConfigError, DataError


def test_a_result_has_the_layout_of_the_design(make_predictions, schema) -> None:
    tokens = np.random.default_rng(0).random((6, 4, 4, 2), np.float32)
    result = evaluate([make_predictions(tokens=tokens)], schema, task="toy", split="test").result
    assert (result["task"], result["split"], result["scenes"]) == ("toy", "test", 6)
    for direction in ("image_to_schema", "schema_to_image"):
        assert set(result["retrieval"][direction]) == {
            *(f"R@{depth}{kind}" for depth in (1, 5, 10) for kind in ("", "_expected")),
            "mrr", "mean_rank", "median_rank", "ties", "by_objects",
        }  # fmt: skip
    assert set(result["grounding"]) == {"pointing", "iou", "masks", "by_group"}
    assert set(result["segmentation"]) == {"slot_masks", "attention_masks", "kmeans"}
    assert set(result["grounding"]["pointing"]) == {"value", "ci95", "null", "shuffled"}
    assert set(result["retrieval"]["image_to_schema"]["R@1"]) == {"value", "ci95", "null"}
    assert result["properties"] == {}


def test_batches_do_not_change_a_result(make_predictions, schema) -> None:
    predictions = make_predictions()
    split = [predictions.take([0]), predictions.take([1, 2, 3]), predictions.take([4, 5])]
    names = {"task": "toy", "split": "test"}
    assert (
        evaluate(split, schema, **names).result == evaluate([predictions], schema, **names).result
    )


def test_a_dataset_without_masks_has_null_in_their_place(make_predictions, schema) -> None:
    result = evaluate([make_predictions(true_masks=None)], schema, task="toy", split="test").result
    assert result["grounding"]["pointing"] is None
    assert result["segmentation"] == {"slot_masks": None, "attention_masks": None}
    assert {row[0] for row in rows(result)} == {"image → schema", "schema → image"}


@pytest.mark.parametrize("name", METRIC_NAMES)
def test_each_metric_can_be_computed_alone(make_predictions, schema, name: str) -> None:
    tokens = np.random.default_rng(0).random((6, 4, 4, 2), np.float32)
    names = {"task": "toy", "split": "test"}
    whole = evaluate([make_predictions(tokens=tokens)], schema, **names).result
    alone = evaluate([make_predictions(tokens=tokens)], schema, **names, metrics=[name]).result
    section = "segmentation" if name == "kmeans" else name
    assert set(alone) == {"task", "split", "scenes", section}
    assert alone[section].items() <= whole[section].items()


def test_the_options_reach_the_metrics(make_predictions, schema) -> None:
    tokens = np.random.default_rng(0).random((40, 4, 4, 2), np.float32)
    predictions = make_predictions(40, tokens=tokens)
    vectors = np.random.default_rng(2).random((40, 4, 6), np.float32)
    predictions = replace(predictions, slots=vectors)

    def encode(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        return np.repeat(primitives[..., :1], 5, -1).astype(np.float32)

    def result(name: str, **options) -> dict:
        names = {"task": "toy", "split": "test", "metrics": [name], "train": lambda: [predictions]}
        return evaluate([predictions], schema, encode_primitives=encode, **names, **options).result

    for name in METRIC_NAMES:
        assert result(name, seed=1) != result(name), f"{name} takes no seed"
    assert list(result("properties", excluded=["shape"])["properties"]) == ["place"]
    with pytest.raises(RuntimeError, match="nowhere"):
        result("retrieval", device="nowhere")


def test_an_unknown_metric_is_met_with_the_nearest_name(schema) -> None:
    with pytest.raises(ConfigError, match="retrival") as caught:
        evaluate([], schema, task="toy", split="test", metrics=["retrival"])
    assert "retrieval" in caught.value.hint


def test_a_split_without_scenes_is_refused(schema) -> None:
    with pytest.raises(DataError, match="no scene"):
        evaluate([], schema, task="toy", split="test")
