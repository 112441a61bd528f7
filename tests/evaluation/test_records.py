"""Records of scenes and objects: every metric can be computed from them again."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nsi_cli.evaluation.metrics.kmeans import sampled_scenes
from nsi_cli.evaluation.records import read_csv, visibility, write_csv
from nsi_cli.evaluation.suite import Evaluated, evaluate


@pytest.fixture
def evaluated(make_predictions, schema) -> Evaluated:
    tokens = np.random.default_rng(0).random((12, 4, 4, 2), np.float32)
    predictions = make_predictions(12, tokens=tokens)

    def encode(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        rows = np.random.default_rng(1).normal(size=(primitives.shape[-1], 5))
        return (np.nan_to_num(primitives) @ rows).astype(np.float32)

    batches = [predictions.take(range(5)), predictions.take(range(5, 12))]
    return evaluate(
        batches, schema, task="toy", split="test", encode_primitives=encode,
        kmeans_sample=sampled_scenes(12, 7),
    )  # fmt: skip


def test_every_scene_and_every_object_has_a_row(evaluated, make_predictions, schema) -> None:
    predictions = make_predictions(12)
    assert {len(column) for column in evaluated.scenes.values()} == {12}
    assert evaluated.scenes["index"].tolist() == list(range(12))
    assert evaluated.scenes["objects"].tolist() == predictions.present.sum(1).tolist()
    scene, row = np.nonzero(predictions.present)
    assert {len(column) for column in evaluated.objects.values()} == {len(scene)}
    assert evaluated.objects["index"].tolist() == scene.tolist()
    assert evaluated.objects["row"].tolist() == (row + 1).tolist()
    values = schema.decode(predictions.primitives[scene, row])
    assert evaluated.objects["shape"].tolist() == [value["shape"] or "" for value in values]


def test_metrics_are_the_means_of_the_records(evaluated) -> None:
    result, scenes, objects = evaluated.result, evaluated.scenes, evaluated.objects
    for masks in ("attention_masks", "kmeans"):
        for name in ("ari", "fg_ari", "mbo", "miou", "miou_fg", "miou_gt"):
            value = result["segmentation"][masks][name]["value"]
            assert np.nanmean(scenes[f"{masks}_{name}"]) == pytest.approx(value), name
    for name in ("pointing", "iou"):
        value = result["grounding"][name]["value"]
        assert np.nanmean(objects[name]) == pytest.approx(value), name
    for name, part in result["properties"].items():
        assert np.nanmean(objects[f"{name}_read"]) == pytest.approx(part["value"]), name
    for direction in ("image_to_schema", "schema_to_image"):
        ranks = scenes[f"{direction}_rank"]
        assert np.mean(ranks <= 5) == pytest.approx(result["retrieval"][direction]["R@5"]["value"])
        assert np.mean(ranks) == pytest.approx(result["retrieval"][direction]["mean_rank"]["value"])


def test_scenes_outside_the_sample_have_no_k_means(evaluated) -> None:
    known = ~np.isnan(evaluated.scenes["kmeans_mbo"])
    sample = sampled_scenes(12, 7)
    assert set(np.flatnonzero(known)) <= set(sample)
    known = ~np.isnan(evaluated.scenes["kmeans_ari"])
    assert np.flatnonzero(known).tolist() == sample


def test_visibility_and_crowding_of_a_mask_by_hand() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[:2, :2] = 1  # its centre at (0.5, 0.5)
    mask[:2, 4:6] = 3  # at (0.5, 4.5)
    mask[7, 7] = 4
    visible, crowding = visibility(mask, 4)
    assert (visible * 64).tolist() == [4, 0, 4, 1]
    far = np.hypot(6.5, 2.5) / 8
    np.testing.assert_allclose(crowding, [0.5, np.nan, 0.5, far], rtol=1e-6)
    visible, crowding = visibility(np.where(mask == 1, mask, 0), 2)
    assert np.isnan(crowding).all()


def test_a_table_goes_through_its_file(tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "word": np.array(["a, b", '"', "", "ü"], dtype=object),
        "value": np.array([0.5, np.nan, 1 / 3, 1e-9]),
        "count": np.array([1, 2, 3, 4]),
    }
    write_csv(tmp_path / "deep" / "table.csv", columns)
    with (tmp_path / "deep" / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["word"] for row in rows] == ["a, b", '"', "", "ü"]
    assert [row["value"] for row in rows] == ["0.5", "", "0.3333333", "1e-09"]
    assert [row["count"] for row in rows] == ["1", "2", "3", "4"]
    read = read_csv(tmp_path / "deep" / "table.csv")
    assert list(read) == ["word", "value", "count"]
    assert read["word"].tolist() == ["a, b", '"', "", "ü"]
    np.testing.assert_allclose(read["value"], columns["value"], rtol=1e-6)
    np.testing.assert_array_equal(read["count"], columns["count"])


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", {"a": np.zeros(0), "b": np.zeros(0)})
    assert {name: len(column) for name, column in read_csv(tmp_path / "table.csv").items()} == {
        "a": 0, "b": 0,
    }  # fmt: skip


def test_groups_of_objects_add_up_to_all_of_them(evaluated) -> None:
    result, objects = evaluated.result["grounding"], evaluated.objects
    visible = ~np.isnan(objects["pointing"])
    known = visible & ~np.isnan(objects["crowding"])
    assert set(result["by_group"]) == {"shape", "visible", "crowding"}
    for name, members in (("shape", visible), ("visible", visible), ("crowding", known)):
        groups = result["by_group"][name].values()
        assert sum(group["objects"] for group in groups) == members.sum()
        for measure in ("pointing", "iou"):
            total = sum(group["objects"] * group[measure]["value"] for group in groups)
            assert total == pytest.approx(objects[measure][members].sum())
    cubes = visible & (objects["shape"] == "cube")
    assert result["by_group"]["shape"]["cube"]["iou"]["value"] == pytest.approx(
        objects["iou"][cubes].mean()
    )


def test_thirds_are_ordered_and_about_equal(evaluated) -> None:
    groups = evaluated.result["grounding"]["by_group"]["visible"]
    limits = [tuple(map(float, name.split(" to "))) for name in groups]
    assert limits == sorted(limits)
    sizes = [group["objects"] for group in groups.values()]
    assert max(sizes) <= 2 * min(sizes)


def test_without_masks_there_are_no_groups(make_predictions, schema) -> None:
    predictions = make_predictions(true_masks=None)
    result = evaluate([predictions], schema, task="toy", split="test").result
    assert result["grounding"]["by_group"] == {}
