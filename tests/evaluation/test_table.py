from __future__ import annotations

from dataclasses import replace

import numpy as np

from nsi_cli.evaluation.suite import evaluate
from nsi_cli.evaluation.table import COLUMNS, control_rows, notes, rows


def test_each_value_has_its_interval_and_its_null_beside_it() -> None:
    null = {"value": 0.31, "ci95": [0.28, 0.34]}
    result = {
        "retrieval": {"image_to_schema": {"R@1": {"value": 0.5, "ci95": [0.25, 0.75]}}},
        "properties": {
            "shape": {"value": 0.9, "ci95": [0.8, 1.0], "measure": "accuracy", "null": null}
        },
    }
    assert rows(result) == [
        ("image → schema", "R@1", "0.500", "0.250–0.750", "", ""),
        ("accuracy", "shape", "0.900", "0.800–1.000", "0.310", "0.280–0.340"),
    ]
    assert all(len(row) == len(COLUMNS) for row in rows(result))


def test_a_property_named_like_a_metric_keeps_its_name() -> None:
    measured = {"value": 0.9, "ci95": [0.8, 1.0], "measure": "accuracy"}
    assert rows({"properties": {"iou": measured}})[0][1] == "iou"


def test_ranks_and_numbers_of_slots_have_one_decimal() -> None:
    rank = {"value": 1.25, "ci95": [1.0, 2.5]}
    used = {"value": 21.94, "ci95": [21.9, 22.0]}
    result = {
        "retrieval": {"image_to_schema": {"mean_rank": rank}},
        "segmentation": {"attention_masks": {"slots_used": used}},
    }
    assert [row[2:4] for row in rows(result)] == [("1.2", "1.0–2.5"), ("21.9", "21.9–22.0")]


def test_the_wilson_interval_of_a_share_of_one_is_named() -> None:
    def noted(value: float, low: float, high: float) -> bool:
        recall = {"value": value, "ci95": [low, high]}
        lines = notes({"retrieval": {"image_to_schema": {"R@1": recall}}, "scenes": 100})
        return "Wilson" in lines[0]

    assert noted(1.0, 0.96, 1.0)
    assert noted(0.0, 0.0, 0.04)
    assert not noted(0.98, 0.95, 1.0)


def result_of(predictions, schema, encode) -> dict:
    vectors = np.random.default_rng(0).random(
        (*predictions.slot_embeddings.shape[:2], 6), np.float32
    )
    predictions = replace(predictions, slots=vectors)
    return evaluate(
        [predictions], schema, task="toy", split="test", encode_primitives=encode,
        train=lambda: [predictions],
    ).result  # fmt: skip


def encode(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
    return np.repeat(primitives[..., :1], 5, -1).astype(np.float32)


def test_the_notes_say_how_nulls_and_slots_were_chosen(make_predictions, schema) -> None:
    masked = notes(result_of(make_predictions(), schema, encode))
    assert masked[0].startswith("95 % CI: bootstrap over scenes")
    for null in ("ranks at random", "any slot", "another image's slots"):
        assert null in masked[1]
    assert "the object's true mask" in masked[2]
    assert not any("_" in note for note in masked)
    bare = notes(result_of(make_predictions(true_masks=None), schema, encode))
    assert "any slot" not in bare[1]
    assert any("aligns with, without using its value" in note for note in bare)
    assert any("no grounding and no probes: no scene has a true mask" in note for note in bare)


def test_a_single_scene_has_no_other_image_for_a_null_and_says_so(make_predictions, schema) -> None:
    result = result_of(make_predictions(1), schema, encode)
    assert result["properties"]["shape"]["null"] is None
    assert sum("no null for properties" in note for note in notes(result)) == 1
    assert all(len(row) == len(COLUMNS) for row in rows(result))


def test_a_property_without_a_known_value_is_named(make_predictions, schema) -> None:
    predictions = make_predictions()
    predictions.primitives[..., 0] = -1
    result = result_of(predictions, schema, encode)
    assert result["properties"]["shape"] is None
    assert "no measure for shape: no object has a value" in notes(result)


def test_a_split_without_objects_has_retrieval_and_one_line_for_what_is_missing(
    make_predictions, schema
) -> None:
    empty = make_predictions(
        present=np.zeros((6, 3), bool), true_masks=np.zeros((6, 8, 8), np.uint8)
    )
    result = result_of(empty, schema, encode)
    assert result["properties"] == {}
    assert result["segmentation"]["attention_masks"]["fg_ari"]["value"] == 1
    assert result["grounding"]["pointing"] is None
    assert [note for note in notes(result) if note.startswith("no ")] == [
        "no grounding and no probes: no scene has a true mask with a visible object"
    ]
    assert ("attention masks", "mBO") not in {row[:2] for row in rows(result)}


def test_each_section_names_its_group_and_its_metric() -> None:
    def part(value: float, **more) -> dict:
        return {"value": value, "ci95": [value, value], **more}

    result = {
        "property_retrieval": {"shape + size": {"mAP": part(0.1), "R@1": part(0.2), "queries": 3}},
        "set_prediction": {
            "AP@inf": part(0.3),
            "by_mask": {"x": part(2, measure="error"), "shape": part(0.4, measure="accuracy")},
            "by_prediction": {"shape": part(0.5, measure="accuracy")},
        },
        "probes": {
            "shape": {
                "slots": {"mlp": {"accuracy": part(0.6), "macro_f1": part(0.7)}},
                "features": {"linear": {"accuracy": part(0.8)}, "mlp": {"accuracy": part(0.9)}},
                "random_slots": {"mlp": {"accuracy": part(0.05)}},
            },
            "x": {"slots": {"linear": {"r2": part(-0.5), "mean_error": part(3)}}},
        },
    }
    assert [(row[0], row[1], row[2], row[4]) for row in rows(result)] == [
        ("property mAP", "shape + size", "0.100", ""),
        ("set prediction", "AP@inf", "0.300", ""),
        ("read-out", "x, error", "2.000", ""),
        ("read-out", "shape", "0.400", ""),
        ("MLP", "shape", "0.600", "0.050"),
        ("MLP on features", "shape", "0.900", ""),
        ("linear probe", "x, R²", "-0.500", ""),
    ]


def test_a_control_has_what_is_expected_in_place_of_the_null() -> None:
    expected = {"value": 0.25, "ci95": [0.0, 0.5]}
    first, second = (
        {"value": value, "ci95": [0, 1], "expected": expected} for value in (0.5, 0.75)
    )
    control = {
        "retrieval": {"image_to_schema": {"R@1": first, "mrr": first}},
        "properties": {"mrr": second},
    }
    assert control_rows(control) == [
        ("image → schema", "R@1", "0.500", "0.000–1.000", "0.250", "0.000–0.500"),
        ("properties", "mrr", "0.750", "0.000–1.000", "0.250", "0.000–0.500"),
    ]


def test_recall_that_cannot_miss_is_not_shown_and_a_note_says_so() -> None:
    measured = {"value": 1.0, "ci95": [0.5, 1.0]}
    recalls = {f"R@{k}": measured for k in (1, 5, 10)}
    result = {"scenes": 4, "retrieval": {"image_to_schema": recalls}}
    assert [row[1] for row in rows(result)] == ["R@1"]
    assert "not shown: R@5 and R@10, which are always 1 on 4 scenes" in notes(result)
    assert [row[1] for row in rows({**result, "scenes": 11})] == ["R@1", "R@5", "R@10"]


def test_notes_are_about_the_rows_that_are_there() -> None:
    part = {"value": 0.0, "ci95": [0.0, 0.3], "null": {"value": 0.1, "ci95": [0.0, 0.2]}}
    assert notes({"scenes": 9, "grounding": {"pointing": part, "iou": part}}) == [
        "95 % CI: bootstrap over scenes; the Wilson interval for a share of exactly 0 or 1",
        "null: the same measure at chance; grounding: any slot",
    ]
    inner = {"value": 0.5, "ci95": [0.2, 0.8]}
    assert notes({"scenes": 9, "set_prediction": {"AP@inf": inner}}) == [
        "95 % CI: bootstrap over scenes"
    ]
    retrieval = {"shape": {"mAP": inner, "precision@1": inner}}
    assert notes({"scenes": 9, "property_retrieval": retrieval}) == [
        "95 % CI: bootstrap over scenes, for property mAP over queries"
    ]
    assert notes({"scenes": 9, "grounding": {"pointing": None}}) == [
        "no grounding: no scene has a true mask with a visible object"
    ]
