from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nsi_cli import api
from nsi_cli.evaluation.samples import mean_columns, mean_result
from nsi_cli.interpretation.run_evaluation import EvaluationOptions, evaluate_run
from nsi_cli.support.errors import ConfigError

FEW = ("retrieval", "grounding", "segmentation")


@pytest.mark.slow
def test_an_evaluation_of_several_slot_samples_is_their_mean(trained: Path) -> None:
    loaded = api.load_run(trained)
    one, two = (
        evaluate_run(loaded, EvaluationOptions("test", FEW, slot_samples=count)) for count in (1, 2)
    )
    assert "slot_samples" not in one.result
    assert two.result["slot_samples"] == 2
    other = [
        np.concatenate([batch.slot_embeddings for batch in
                        loaded.predictions("test", 4, slot_sample=number)])
        for number in (0, 0, 1)
    ]  # fmt: skip
    np.testing.assert_array_equal(other[0], other[1])
    assert not np.array_equal(other[0], other[2])
    again = evaluate_run(loaded, EvaluationOptions("test", FEW, slot_samples=2))
    assert again.result == two.result
    iou = "attention_masks_mbo"
    assert not np.array_equal(one.scenes[iou], two.scenes[iou], equal_nan=True)
    assert mean_result([one.result, one.result])["retrieval"]["duplicate_schemas"] is not None
    np.testing.assert_array_equal(mean_columns([one.scenes, one.scenes])[iou], one.scenes[iou])


def test_segments_can_be_compared_at_another_size(trained: Path) -> None:
    loaded = api.load_run(trained)
    (batch,) = loaded.predictions("test", 100, mask_size=20)
    (whole,) = loaded.predictions("test", 100)
    assert batch.true_masks.shape[1:] == (20, 20)
    side = whole.true_masks.shape[-1]
    rows = ((np.arange(20) + 0.5) * side / 20).astype(int)
    np.testing.assert_array_equal(batch.true_masks, whole.true_masks[:, rows][:, :, rows])
    result = evaluate_run(loaded, EvaluationOptions("test", ("segmentation",), mask_size=20)).result
    assert result["mask_size"] == 20


@pytest.mark.slow
def test_controls_stand_beside_the_result(trained: Path) -> None:
    loaded = api.load_run(trained)
    options = EvaluationOptions("train", ("retrieval", "segmentation"), controls=True)
    controls = evaluate_run(loaded, options).result["controls"]
    assert list(controls) == ["untrained", "shuffled_schemas", "random_slots", "oracle"]
    for name in ("untrained", "shuffled_schemas", "random_slots"):
        assert set(controls[name]) == {"retrieval"}
        recall = controls[name]["retrieval"]["image_to_schema"]["R@1"]
        assert set(recall) == {"value", "ci95", "expected"}
    ones, twos = (
        evaluate_run(loaded, replace(options, batch_size=size)).result["controls"]
        for size in (1, 2)
    )
    assert ones["shuffled_schemas"] == twos["shuffled_schemas"]  # no scene keeps its own schema
    best = controls["oracle"]
    assert best["retrieval"]["schema_to_image"]["R@1"]["value"] == 1
    assert best["segmentation"]["attention_masks"]["ari"]["value"] == 1


def test_an_untrained_model_is_another_one_of_the_same_shape(trained: Path) -> None:
    loaded = api.load_run(trained)
    other = loaded.untrained()
    (one,), (two,) = (run.predictions("test", 100) for run in (loaded, other))
    assert one.slot_embeddings.shape == two.slot_embeddings.shape
    assert not np.array_equal(one.slot_embeddings, two.slot_embeddings)


def test_controls_of_a_single_scene_are_refused(trained: Path, monkeypatch) -> None:
    loaded = api.load_run(trained)
    monkeypatch.setattr(type(loaded.store), "count", lambda self, split: 1)
    with pytest.raises(ConfigError, match="at least two scenes"):
        evaluate_run(loaded, EvaluationOptions("test", controls=True))
