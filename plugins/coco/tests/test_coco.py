"""COCO instances are built with the right categories, boxes, masks and splits."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nsi_coco import nsi_tasks
from nsi_coco.builder import CocoBuilder
from PIL import Image

from nsi_cli.plugins import ConfigError, DataError
from nsi_cli.plugins.tables.scenes.segmentations import layers_of_segmentations
from nsi_cli.testing import check_task

CATEGORIES = [
    {"id": 1, "name": "cat", "supercategory": "animal"},
    {"id": 7, "name": "car", "supercategory": "vehicle"},
    {"id": 9, "name": "dog", "supercategory": "animal"},
]
SQUARE = [[10, 5, 20, 5, 20, 15, 10, 15]]


def annotation(image: Any, category: Any = 1, **more: Any) -> dict[str, Any]:
    """An annotation of a square of 10 × 10 pixels at (10, 5)."""
    return {
        "image_id": image, "category_id": category, "bbox": [10, 5, 10, 10], "iscrowd": 0,
        "segmentation": SQUARE, "area": 100, **more,
    }  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes images of 40 × 20 pixels and their annotations; returns the raw folder."""

    def make(
        annotations: list[dict[str, Any]],
        count: int = 10,
        path: str = "instances.json",
        folder: str = "images/",
        **more: Any,
    ) -> Path:
        raw = tmp_path / "raw"
        images = []
        for number in range(count):
            file = raw / folder / f"{number:03d}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 20), (number, len(path), 0)).save(file)
            images.append({"id": number, "file_name": file.name, "width": 40, "height": 20})
        data = {"images": images, "annotations": annotations, "categories": CATEGORIES, **more}
        (raw / path).parent.mkdir(parents=True, exist_ok=True)
        (raw / path).write_text(json.dumps(data))
        return raw

    return make


def scene_of(builder: CocoBuilder, number: int):
    sources = [source for part in builder.splits().values() for source in part]
    (source,) = [source for source in sources if source.id.endswith(f"{number:03d}.jpg")]
    return builder.load(source)


def objects(builder: CocoBuilder, number: int) -> list[dict]:
    return builder.schema().decode(scene_of(builder, number).primitives)


@pytest.mark.slow
def test_the_task_meets_the_contract(write) -> None:
    pytest.importorskip("pycocotools")
    raw = write([annotation(i, (1, 7, 9)[i % 3]) for i in range(10)])
    check_task(nsi_tasks(), raw=raw)


def test_category_and_box_are_properties_and_the_supercategory_if_asked_for(write) -> None:
    raw = write([annotation(i, (1, 7)[i % 2]) for i in range(10)])
    builder = CocoBuilder(raw)
    assert builder.schema()["category"].values == ("car", "cat")
    assert objects(builder, 1) == [{"category": "car", "center": (0.375, 0.5), "size": (0.25, 0.5)}]
    above = CocoBuilder(raw, supercategory=True)
    assert objects(above, 1)[0]["supercategory"] == "vehicle"


def test_crowds_are_left_out_and_counted(write) -> None:
    raw = write([annotation(i) for i in range(10)] + [annotation(0, 7, iscrowd=1)])
    builder = CocoBuilder(raw)
    assert len(objects(builder, 0)) == 1
    assert builder.schema()["category"].values == ("cat",)
    assert "instances.json: crowds, left out: 1" in builder.notes()


def test_a_set_of_categories_is_kept(write) -> None:
    raw = write([annotation(i, category) for i in range(10) for category in (1, 7, 9)])
    builder = CocoBuilder(raw, categories="dog, cat", masks="off")
    assert [item["category"] for item in objects(builder, 0)] == ["cat", "dog"]
    with pytest.raises(ConfigError, match="no category 'dgo'") as caught:
        CocoBuilder(raw, categories="dgo").schema()
    assert caught.value.hint == "did you mean 'dog'?"


def test_of_too_many_objects_the_largest_are_kept(write) -> None:
    sizes = {1: 3, 7: 9, 9: 6}
    raw = write([annotation(i, c, bbox=[0, 0, n, n]) for i in range(10) for c, n in sizes.items()])
    assert CocoBuilder(raw).schema().max_objects == 3
    builder = CocoBuilder(raw, max_objects=2, masks="off")
    assert [item["category"] for item in objects(builder, 0)] == ["car", "dog"]


def _square() -> np.ndarray:
    mask = np.zeros((20, 40), np.uint8)
    mask[5:15, 10:20] = 1
    return mask


def _encoded(compressed: bool) -> Any:
    coco = pytest.importorskip("pycocotools.mask")
    if compressed:
        code = coco.encode(np.asfortranarray(_square()))
        return {"size": code["size"], "counts": code["counts"].decode()}
    runs, flat = [], _square().ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *changes, len(flat)]).tolist()
    return {"size": [20, 40], "counts": runs}


@pytest.mark.parametrize("kind", ["polygons", "runs", "compressed runs"])
def test_segmentations_of_each_kind_are_masks(write, kind: str) -> None:
    pytest.importorskip("pycocotools")
    shape = SQUARE if kind == "polygons" else _encoded(kind == "compressed runs")
    raw = write([annotation(i, segmentation=shape) for i in range(10)])
    np.testing.assert_array_equal(scene_of(CocoBuilder(raw), 0).mask, _square())


def test_a_small_object_is_above_a_large_one(write) -> None:
    pytest.importorskip("pycocotools")
    whole = [[0, 0, 40, 0, 40, 20, 0, 20]]
    raw = write(
        [item for i in range(10) for item in (annotation(i), annotation(i, 7, segmentation=whole))]
    )
    np.testing.assert_array_equal(scene_of(CocoBuilder(raw), 0).mask, 2 - _square())


def test_an_object_without_a_segmentation_gets_its_box(write) -> None:
    pytest.importorskip("pycocotools")
    items = [annotation(i, segmentation=[] if i == 3 else SQUARE) for i in range(10)]
    builder = CocoBuilder(write(items))
    np.testing.assert_array_equal(scene_of(builder, 3).mask, _square())
    assert "objects without a segmentation, whose box is used: 1" in builder.notes()


def test_without_segmentations_there_are_no_masks(write) -> None:
    raw = write([annotation(i, segmentation=[]) for i in range(10)])
    assert scene_of(CocoBuilder(raw), 0).mask is None
    with pytest.raises(DataError, match="has no segmentation"):
        CocoBuilder(raw, masks="on").schema()


def test_without_pycocotools_masks_are_missing_and_asking_for_them_is_an_error(
    write, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    raw = write([annotation(i) for i in range(10)])
    builder = CocoBuilder(raw)
    assert scene_of(builder, 0).mask is None
    assert any("no masks are stored" in line for line in builder.notes())
    with pytest.raises(DataError, match="need pycocotools") as caught:
        CocoBuilder(raw, masks="on").schema()
    assert "nsi-cli[coco]" in caught.value.hint


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [3, 3], "counts": [9]},
        {"size": [20, 40], "counts": "abc"},
        {"size": [20, 40], "counts": "\u00ff"},
        {"size": [20, 40], "counts": [-1, 801]},
        {"size": [20, 40], "counts": [1 << 70]},
        {"size": [20, 40]},
        [[1e30, 0, 5, 0, 5, 5]],
        [[1, 2, 3, 4, 5, 6, "x"]],
        "polygon",
    ],
)
def test_an_invalid_segmentation_is_one_line(write, segmentation: Any) -> None:
    pytest.importorskip("pycocotools")
    raw = write([annotation(i, segmentation=segmentation) for i in range(10)])
    with pytest.raises(DataError, match=r"000\.jpg: a segmentation is not valid") as caught:
        scene_of(CocoBuilder(raw), 0)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("seed", range(5))
def test_compressed_runs_are_decoded_as_pycocotools_does(seed: int) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    generator = np.random.default_rng(seed)
    mask = (generator.random((30, 17)) < generator.random()).astype(np.uint8)
    mask = np.kron(mask, np.ones((1 + seed, 3), np.uint8))
    code = coco.encode(np.asfortranarray(mask))
    text = json.dumps({"size": mask.shape, "counts": code["counts"].decode()})
    (decoded,) = layers_of_segmentations([text], mask.shape, "image")
    np.testing.assert_array_equal(decoded, mask == 1)


def test_the_layout_of_coco_has_a_file_for_each_split(write) -> None:
    for split, count in (("train", 6), ("val", 3)):
        items = [annotation(i) for i in range(count)]
        raw = write(items, count, f"annotations/instances_{split}2017.json", f"{split}2017/")
    (raw / "annotations" / "captions_train2017.json").write_text("{}")
    splits = CocoBuilder(raw).splits()
    assert {name: len(part) for name, part in splits.items()} == {"train": 6, "val": 3}
    assert splits["val"][0].id == "val2017/000.jpg"


def test_the_layout_of_roboflow_has_a_folder_for_each_split(write) -> None:
    for split, count in (("train", 6), ("valid", 3), ("test", 2)):
        items = [annotation(i) for i in range(count)]
        raw = write(items, count, f"{split}/_annotations.coco.json", f"{split}/")
    splits = CocoBuilder(raw).splits()
    assert {name: len(part) for name, part in splits.items()} == {"train": 6, "val": 3, "test": 2}


def test_the_layout_of_cvat_is_one_file_with_random_splits(write) -> None:
    raw = write([annotation(i) for i in range(10)], path="annotations/instances_default.json")
    assert list(CocoBuilder(raw).splits()) == ["train", "val", "test"]


def test_an_export_may_lack_fields_and_have_ids_of_any_type(write) -> None:
    raw = write([], 0)
    images, items = [], []
    for number in range(10):
        name = f"set/{number:03d}.jpg"
        path = raw / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 20), (number, 0, 0)).save(path)
        images.append({"id": str(number), "file_name": f"C:\\export\\set\\{number:03d}.jpg"})
        items.append({"image_id": number, "category_id": "1", "segmentation": SQUARE})
    categories = [{"id": 1, "name": "cat"}]
    data = {"images": images, "annotations": items, "categories": categories}
    (raw / "instances.json").write_text(json.dumps(data))
    builder = CocoBuilder(raw)
    assert objects(builder, 4) == [{"category": "cat", "center": (0.375, 0.5), "size": (0.25, 0.5)}]
    with pytest.raises(DataError, match="has no supercategory"):
        CocoBuilder(raw, supercategory=True).schema()


def test_images_without_annotations_are_left_out_unless_asked_for(write) -> None:
    raw = write([annotation(i) for i in range(8)])
    builder = CocoBuilder(raw)
    assert sum(map(len, builder.splits().values())) == 8
    assert any("without an object, left out: 2" in line for line in builder.notes())
    kept = CocoBuilder(raw, keep_empty=True)
    assert objects(kept, 9) == []
    assert sum(map(len, kept.splits().values())) == 10


def test_annotations_of_unknown_images_and_categories_are_left_out_and_said(write) -> None:
    raw = write([annotation(i) for i in range(10)] + [annotation(99), annotation(0, 99)])
    notes = CocoBuilder(raw).notes()
    assert "instances.json: annotations of unknown images, left out: 1" in notes
    assert "instances.json: annotations of unknown categories, left out: 1" in notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "it has no list 'categories'"),
        ("[]", "it has no list 'categories'"),
        ('{"images": [{}], "annotations": [], "categories": []}', "an item has no 'file_name'"),
        ('{"images": [3], "annotations": [], "categories": []}', "not valid COCO"),
        ('{"images": [], "annotations": [], "categories": []}', "has no object"),
        ("{", "not valid JSON"),
    ],
)
def test_a_file_that_is_not_coco_is_one_line(tmp_path, text: str, message: str) -> None:
    (tmp_path / "instances.json").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        CocoBuilder(tmp_path).schema()
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_no_annotations_or_several_are_a_question(write, tmp_path) -> None:
    (tmp_path / "raw").mkdir()
    with pytest.raises(DataError, match="no COCO annotations"):
        CocoBuilder(tmp_path / "raw").schema()
    for name in ("a.json", "b.json"):
        raw = write([annotation(i) for i in range(10)], path=name)
    with pytest.raises(DataError, match=r"2 annotation files .*: a\.json, b\.json") as caught:
        CocoBuilder(raw).schema()
    assert "--annotations" in caught.value.hint
    assert CocoBuilder(raw, annotations=Path("a.json")).schema().max_objects == 1
