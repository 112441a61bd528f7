from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nsi_cli.evaluation import METRIC_NAMES
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.evaluation.suite import evaluate
from nsi_cli.evaluation.table import notes, rows
from nsi_cli.support.errors import ConfigError, DataError, NsiError


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


@pytest.mark.slow
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


def corner(name: str, make_predictions) -> Predictions:
    """Predictions at the edge of what can be measured."""
    predictions = make_predictions(1 if name in ("one scene", "one object") else 8, side=12)
    present = predictions.present.copy()
    if name == "one object":
        present[:] = np.arange(3) == 0
    if name == "no object":
        present[:] = False
    primitives = predictions.primitives.copy()
    if name == "no word":
        primitives[..., 0] = -1
    if name == "no number":
        primitives[..., 1:] = np.nan
    primitives[~present] = 0
    masks = predictions.true_masks * (predictions.true_masks <= present.sum(1)[:, None, None])
    rng = np.random.default_rng(0)
    return replace(
        predictions, present=present, primitives=primitives,
        true_masks=None if name == "no masks" else masks,
        slots=rng.random((len(predictions), 4, 6), np.float32),
        tokens=rng.random((len(predictions), 4, 4, 5), np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("evaluated_on", ["train", "no train"])
@pytest.mark.parametrize(
    "name",
    ["one scene", "one object", "no object", "no word", "no number", "no masks", "plain"],
)
def test_corner_cases_have_right_numbers_or_none(
    make_predictions, schema, name: str, evaluated_on: str
) -> None:
    predictions = corner(name, make_predictions)

    def encode(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        rows = np.random.default_rng(1).normal(size=(primitives.shape[-1], 5))
        return (np.nan_to_num(primitives) @ rows).astype(np.float32)

    evaluated = evaluate(
        [predictions], schema, task="toy", split="test", encode_primitives=encode,
        train=(lambda: [predictions]) if evaluated_on == "train" else None,
    )  # fmt: skip
    result = evaluated.result
    json.dumps(result, allow_nan=False)
    assert rows(result)
    said = " ".join(notes(result))
    if name == "no masks":
        assert result["grounding"]["pointing"] is None
        assert result["set_prediction"]["by_mask"] is None
        assert result["probes"] == {}
        assert "no grounding and no probes" in said
    if name == "no word":
        assert result["property_retrieval"] == {}
        assert result["properties"]["shape"] is None
        assert "shape" not in result["probes"]
        assert result["set_prediction"]["by_prediction"]["shape"] is None
    if name == "no number":
        assert result["properties"]["place"] is None
        assert "place" not in result["probes"]
    if evaluated_on == "no train":
        assert result["probes"] == {}
        assert "no probes" in said
    elif name == "plain":
        assert set(result["probes"]) == {"shape", "place"}


@pytest.mark.parametrize("name", METRIC_NAMES)
def test_a_model_that_diverged_is_refused_by_every_metric(
    make_predictions, schema, name: str
) -> None:
    predictions = make_predictions()
    predictions.slot_embeddings[2, 1, 0] = np.nan
    with pytest.raises(NsiError, match="not finite numbers"):
        evaluate([predictions], schema, task="toy", split="test", metrics=[name])
