"""Raw folders of the three releases are built into correct stores."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nsi_clevr import nsi_tasks
from nsi_clevr.builder import ClevrBuilder
from PIL import Image

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.check.check import check_store
from nsi_cli.data.store.reader import Store, open_store
from nsi_cli.plugins import Categorical, NsiError
from nsi_cli.testing import check_task

MakeRaw = Callable[..., Any]


def build(writer: Any, out: Path, *, workers: int = 0, **options: Any) -> Store:
    builder = ClevrBuilder(writer.raw, writer.variant, **options)
    build_store(builder, "clevr", out, BuildOptions(48, workers))
    return open_store(out)


def resized(pixels: np.ndarray, how: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((48, 48), how))


def test_clevr(make_raw: MakeRaw, tmp_path: Path) -> None:
    writer = make_raw().splits(train=4, val=2)
    store = build(writer, tmp_path / "store")
    values = {item.name: item.values for item in store.schema.categorical}
    assert values == {
        "shape": ("cube", "sphere", "cylinder"),
        "size": ("large", "small"),
        "color": ("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow"),
        "material": ("rubber", "metal"),
    }
    assert [item.name for item in store.schema.continuous] == ["position"]
    assert (store.splits, store.has_masks, store.scene_label) == (("train", "val"), False, None)
    assert store.ids("train") == [f"CLEVR_train_00000{number}" for number in range(4)]
    assert store.ids("val") == ["CLEVR_val_000000", "CLEVR_val_000001"]
    expected = resized(writer.pixels(1), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(store.images("train", [1])[0], expected)
    labels, lengths = store.primitives("train")
    assert lengths.tolist() == [1, 2, 3, 4]
    third = [2, 0, 2, 0, 0.5, -1.0, np.float32(0.7)]  # a large blue rubber cylinder
    assert labels[3, 2].tolist() == third
    assert (
        "the test split of CLEVR is left out: its scenes are not published" in store.build["notes"]
    )


@pytest.mark.parametrize(("variant", "classes"), [("hans3", 3), ("hans7", 7)])
def test_clevr_hans_has_masks_and_classes(
    variant: str, classes: int, make_raw: MakeRaw, box: Callable[[int], np.ndarray], tmp_path: Path
) -> None:
    writer = make_raw(variant).splits(train=4, val=2, test=3)
    store = build(writer, tmp_path / "store")
    assert store.splits == ("train", "val", "test")
    assert store.scene_label == Categorical("class", tuple(map(str, range(classes))))
    np.testing.assert_array_equal(store.scene_labels("train"), [0, 1, 2, 0])
    assert store.ids("test") == [f"test/CLEVR_Hans_classid_{n}_00000{n}" for n in range(3)]
    mask = np.zeros((320, 480), np.uint8)
    for number in range(3):
        mask[box(number)] = number + 1
    expected = resized(mask, Image.Resampling.NEAREST)
    np.testing.assert_array_equal(store.masks("test", [2]), expected[None])
    assert not any(result.faults for result in check_store(store.path))


def test_where_masks_overlap_the_nearest_object_counts(
    make_raw: MakeRaw, run_lengths: Callable[[np.ndarray], Any], box: Callable[[int], np.ndarray]
) -> None:
    writer = make_raw("hans3")
    scene = writer.scene("train", 0, 3)
    whole = run_lengths(np.ones((320, 480), bool))
    for item, depth in zip(scene["objects"], (9.0, 11.0, 10.0), strict=True):
        item["pixel_coords"][2] = depth
    scene["objects"][1]["mask"] = scene["objects"][2]["mask"] = whole
    writer.write("train", [scene])
    writer.write_image("train", 0)
    builder = ClevrBuilder(writer.raw, variant="hans3")
    loaded = builder.load(builder.splits()["train"][0])
    assert (len(loaded.primitives), loaded.dropped, loaded.hidden) == (2, 1, 1)
    assert loaded.mask is not None
    assert (loaded.mask[box(0)] == 1).all()
    assert (loaded.mask[~box(0)] == 2).all()


def test_properties_are_added_by_options(make_raw: MakeRaw, tmp_path: Path) -> None:
    writer = make_raw().splits(train=3)
    store = build(writer, tmp_path / "store", pixel_position=True, rotation=True)
    last = store.schema.decode(store.primitives("train")[0][2, 2:3])[0]
    assert last["pixel_position"] == pytest.approx((0.25, 0.5))
    assert last["rotation"] == 25.0


@pytest.mark.slow
def test_holdout_makes_a_test_split_of_val(make_raw: MakeRaw, tmp_path: Path) -> None:
    writer = make_raw().splits(train=30, val=2)
    builder = ClevrBuilder(writer.raw, split_by="holdout")
    splits = {name: [source.number for source in part] for name, part in builder.splits().items()}
    assert splits == {"train": [*range(28)], "val": [28, 29], "test": [0, 1]}
    store = build(writer, tmp_path / "store", split_by="holdout")
    assert store.ids("test") == ["CLEVR_val_000000", "CLEVR_val_000001"]
    (fault,) = ClevrBuilder(writer.raw, "hans3", split_by="holdout").faults()
    assert fault == "split_by: holdout is for CLEVR; CLEVR-Hans3 has a test split"


def test_a_missing_split_is_noted(make_raw: MakeRaw, tmp_path: Path) -> None:
    store = build(make_raw().splits(val=2), tmp_path / "store")
    assert store.splits == ("val",)
    missing = "warning: split train is missing: no scenes/CLEVR_train_scenes.json"
    assert missing in store.build["notes"]


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["clevr", "hans3"])
def test_the_task_meets_the_contract(variant: str, make_raw: MakeRaw) -> None:
    writer = make_raw(variant).splits(train=3, val=1)
    check_task(nsi_tasks(), raw=writer.raw, variant=variant, rotation=True)


@pytest.mark.slow
def test_workers_build_the_same_store(make_raw: MakeRaw, tmp_path: Path) -> None:
    writer = make_raw("hans3").splits(train=40)
    one = build(writer, tmp_path / "one")
    two = build(writer, tmp_path / "two", workers=2)
    assert one.build == two.build


def test_a_worker_gets_no_list_of_scenes(make_raw: MakeRaw) -> None:
    builder = ClevrBuilder(make_raw().splits(train=3).raw)
    builder.splits()
    assert len(pickle.dumps(builder)) < 500
    assert pickle.loads(pickle.dumps(builder)) == builder


def change(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def damage(scene: dict[str, Any]) -> None:
        scene["objects"][1][key] = value

    return damage


def remove(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda scene: scene["objects"][1].pop(key)


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown shape": (change("shape", "sphare"), "unknown shape 'sphare'"),
    "unknown colour": (change("color", "pink"), "unknown color 'pink'"),
    "another key": (
        lambda scene: scene["objects"][1].update(colour=scene["objects"][1].pop("color")),
        "'color' is None, not a word",
    ),
    "material of CLEVRTex": (change("material", "poliigonbricks01"), "unknown material"),
    "no size": (remove("size"), "'size' is None, not a word"),
    "no position": (remove("3d_coords"), "'3d_coords' is None, not three numbers"),
    "flat position": (change("3d_coords", [1, 2]), r"\[1, 2\], not three numbers"),
    "infinite": (change("pixel_coords", [1, 2, float("inf")]), "not three numbers"),
    "rotation": (change("rotation", "ninety"), "'rotation' is 'ninety', not a number"),
    "no objects": (lambda scene: scene.pop("objects"), "no list of 'objects'"),
    "an empty scene": (lambda scene: scene["objects"].clear(), "0 objects, but 1 to 10"),
    "eleven objects": (
        lambda scene: scene["objects"].extend([scene["objects"][0]] * 8), "11 objects, but 1 to 10",
    ),
    "an object that is none": (lambda scene: scene["objects"].append(3), "object 4 is not a JSON"),
    "another split's image": (
        lambda scene: scene.update(image_filename="CLEVR_val_000001.png"),
        "'image_filename' is 'CLEVR_val_000001.png', not that of an image of CLEVR v1.0, train",
    ),
    "a path": (
        lambda scene: scene.update(image_filename="../../secret.png"), "'image_filename' is",
    ),
    "a missing image": (
        lambda scene: scene.update(image_filename="CLEVR_train_000009.png"),
        r"the image .*CLEVR_train_000009\.png is missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_clevr_is_refused(fault: str, make_raw: MakeRaw, tmp_path: Path) -> None:
    damage, message = FAULTS[fault]
    writer = make_raw().splits(train=2)
    scenes = [writer.scene("train", number) for number in range(2)]
    damage(scenes[1])
    writer.write("train", scenes)
    refuse(writer, tmp_path, f"1 of 2 scenes cannot be read.*: .*{message}")


def refuse(writer: Any, tmp_path: Path, message: str) -> None:
    with pytest.raises(NsiError, match=message) as caught:
        build(writer, tmp_path / "store")
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "store").exists()


HANS_FAULTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a class of Hans7": (
        lambda scene: scene.update(class_id=5), "'class_id' is 5, but CLEVR-Hans3 has the classes 0"
    ),
    "no class": (lambda scene: scene.pop("class_id"), "'class_id' is None"),
    "one mask less": (remove("mask"), "some objects have a 'mask' and some have none"),
    "a mask of another size": (
        lambda scene: scene["objects"][0]["mask"].update(size=[240, 320]), r"size \[240, 320\]",
    ),
    "a damaged mask": (
        lambda scene: scene["objects"][0]["mask"].update(counts="PP"), "'counts' are truncated",
    ),
    "masks that are missing in one scene": (
        lambda scene: [item.pop("mask") for item in scene["objects"]],
        "has no mask, unlike the scenes before it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", HANS_FAULTS)
def test_what_is_not_clevr_hans_is_refused(fault: str, make_raw: MakeRaw, tmp_path: Path) -> None:
    damage, message = HANS_FAULTS[fault]
    writer = make_raw("hans3").splits(train=2)
    scenes = [writer.scene("train", number) for number in range(2)]
    damage(scenes[1])
    writer.write("train", scenes)
    refuse(writer, tmp_path, message)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:2000]), r"000001\.png cannot be read"),
        (lambda path: path.write_bytes(b"<html>"), r"000001\.png cannot be read"),
        (lambda path: Image.new("RGB", (320, 240)).save(path), "320 × 240 pixels of mode RGB"),
        (lambda path: Image.new("P", (480, 320)).save(path), "480 × 320 pixels of mode P"),
        (lambda path: (path.unlink(), path.mkdir()), "it is a folder"),
    ],
)
def test_an_image_that_is_not_of_clevr_is_refused(
    damage: Callable[[Path], Any], message: str, make_raw: MakeRaw, tmp_path: Path
) -> None:
    writer = make_raw().splits(train=2)
    damage(writer.image_path("train", 1))
    refuse(writer, tmp_path, message)


def test_a_json_file_that_changes_after_it_was_read_is_reported(make_raw: MakeRaw) -> None:
    writer = make_raw().splits(train=2)
    builder = ClevrBuilder(writer.raw)
    (*_, source) = builder.splits()["train"]
    path = writer.scenes_path("train")
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    with pytest.raises(NsiError, match=r"scene 1 of CLEVR_train_scenes\.json: its JSON changed"):
        builder.load(source)
