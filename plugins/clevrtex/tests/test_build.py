"""Raw folders of both layouts, made by hand, become correct stores."""

import json
import os
import pickle
import random
from pathlib import Path

import h5py
import numpy as np
import pytest
from nsi_clevrtex.builder import ClevrtexBuilder
from PIL import Image

from nsi_cli.data.build.build import BuildOptions, build_store
from nsi_cli.data.store.reader import open_store
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import sha256

SIZE = 48


def _build(made, out, workers=0, size=SIZE, **options):
    builder = ClevrtexBuilder(made.raw, variant=made.variant, **options)
    recorded = {"split_by": builder.split_by}
    build_store(builder, "clevrtex", out, BuildOptions(size, workers, recorded=recorded))
    return open_store(out)


def _nearest(mask: np.ndarray, size: int = SIZE) -> np.ndarray:
    return np.asarray(Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST))


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_every_file_of_the_store_says_what_the_raw_files_say(
    make_raw, boxes, thing, tmp_path, release: str
) -> None:
    made = make_raw(release)
    made.scene(0, 3, mode="RGBA")
    made.scene(1, 10, mode="RGB")
    made.scene(40_000, [thing(2), thing(1, material="whitemarble")])
    out = tmp_path / "store"
    store = _build(made, out)

    materials = ["poliigonbricks01", "poliigonfabricdenim003", "whitemarble"]
    values = {
        "shape": ["cube", "cylinder", "monkey", "sphere"],
        "size": ["large", "medium", "small"],
        "material": materials,
    }
    assert store.schema.to_json() == json.loads((out / "schema.json").read_text())
    assert {item.name: list(item.values) for item in store.schema.categorical} == values
    assert store.schema.max_objects == 10
    space, there, back = (
        json.loads((out / f"{name}.json").read_text())
        for name in ("program_space", "program2label", "label2program")
    )
    bounds = {"size": 3, "low": [-3.0] * 3, "high": [3.0] * 3}
    assert space == {**values, "position": bounds}
    assert there == {name: {v: i for i, v in enumerate(vs)} for name, vs in values.items()}
    assert back == {name: {str(i): v for i, v in enumerate(vs)} for name, vs in values.items()}

    assert store.splits == ("train", "test")
    assert store.ids("train") == [made.stem(0).name, made.stem(1).name]
    for split, index, of_raw in (("train", 0, 0), ("train", 1, 1), ("test", 0, 40_000)):
        image = Image.fromarray(made.pixels(of_raw)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(store.images(split, [index])[0], np.asarray(image))
    np.testing.assert_array_equal(store.masks("train", [0, 1])[0], _nearest(boxes(3)))
    np.testing.assert_array_equal(store.masks("train", [0, 1])[1], _nearest(boxes(10)))

    labels = np.load(out / "train_labels.npy", allow_pickle=False)
    lengths = np.load(out / "train_lengths.npy", allow_pickle=False)
    assert (labels.dtype, labels.shape) == (np.float32, (2, 10, 6))
    assert (lengths.dtype, lengths.tolist()) == (np.int64, [3, 10])
    assert labels[0, 0].tolist() == [1, 3, 2, 0.25, -0.5, 0.5]  # medium sphere, white marble
    assert not labels[0, 3:].any()
    (first, second), (length,) = store.primitives("test")[0][0, :2], store.primitives("test")[1]
    assert length == 2
    assert store.schema.decode([first, second])[0]["material"] == "whitemarble"  # by index, not row


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_build_json_tells_how_the_store_was_made(make_raw, tmp_path, release: str) -> None:
    made = make_raw(release)
    for index in range(3):
        made.scene(index, 2)
    store = _build(made, tmp_path / "store", split_by="test")
    build = json.loads((tmp_path / "store" / "build.json").read_text())
    assert (build["task"], build["image_size"], build["masks"]) == ("clevrtex", SIZE, True)
    assert build["options"] == {"split_by": "test", "image_size": SIZE}
    assert build["splits"] == {
        "test": {"scenes": 3, "objects": 6, "dropped_objects": 0, "hidden_objects": 0}
    }
    assert build["skipped"] == []
    assert build["schema"] == store.schema.fingerprint
    assert {"nsi-cli", "numpy", "pillow", "h5py"} <= set(build["versions"])
    files = {path.name for path in (tmp_path / "store").iterdir()} - {"build.json"}
    assert set(build["files"]) == files
    for name, result in build["files"].items():
        path = tmp_path / "store" / name
        assert result == {"bytes": path.stat().st_size, "sha256": sha256(path)}


def test_images_h5_can_be_read_without_the_toolkit(make_raw, boxes, tmp_path) -> None:
    made = make_raw()
    made.scene(0, 4)
    _build(made, tmp_path / "store")
    with h5py.File(tmp_path / "store" / "images.h5") as file:
        assert set(file) == {"train", "masks", "ids"}
        assert (file["train"].dtype, file["train"].shape) == (np.uint8, (1, SIZE, SIZE, 3))
        np.testing.assert_array_equal(file["masks/train"][0], _nearest(boxes(4)))
        assert file["ids/train"].asstr()[0] == "CLEVRTEX_full_000000"


def test_outd_has_its_own_words_and_is_all_for_test(make_raw, thing, tmp_path) -> None:
    made = make_raw(variant="outd")
    shapes = ("teapot", "cone", "torus", "icosahedron")
    for i, shape in enumerate(shapes):
        made.scene(i, [thing(1, shape=shape, material="poliigonchippedpaint015")])
    store = _build(made, tmp_path / "store")
    assert store.splits == ("test",)
    assert store.schema["shape"].values == tuple(sorted(shapes))
    assert store.schema["material"].values == ("poliigonchippedpaint015",)


def test_colour_is_a_property_where_materials_are_plain(make_raw, thing, tmp_path) -> None:
    made = make_raw(variant="vbg")
    colours = ("red", "cyan")
    made.scene(
        0, [thing(i, material="rubber", color=colour) for i, colour in enumerate(colours, start=1)]
    )
    store = _build(made, tmp_path / "store")
    assert list(store.schema.columns) == ["size", "shape", "material", "color", "position"]
    assert store.schema["color"].values == ("cyan", "red")


def test_the_order_of_the_disk_changes_nothing(make_raw, tmp_path, monkeypatch) -> None:
    made = make_raw()
    for index in random.Random(0).sample(range(12), 12):
        made.scene(index, 1 + index % 10)
    here = _build(made, tmp_path / "here")
    scan = os.scandir

    class Shuffled(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(
        os, "scandir", lambda path: Shuffled(random.Random(1).sample(e := list(scan(path)), len(e)))
    )
    there = _build(made, tmp_path / "there")
    assert here.schema == there.schema
    assert here.ids("train") == there.ids("train")
    for name in ("images.h5", "train_labels.npy", "program2label.json"):
        assert sha256(tmp_path / "here" / name) == sha256(tmp_path / "there" / name)


def test_worker_processes_change_nothing(make_raw, tmp_path, monkeypatch) -> None:
    made = make_raw()
    for index in range(9):
        made.scene(index, 1 + index)
    made.scene(40_000, 2)
    monkeypatch.setattr("nsi_cli.data.build.plan.CHUNK", 2)
    alone = _build(made, tmp_path / "alone")
    helped = _build(made, tmp_path / "helped", workers=2)
    assert alone.build["files"] == helped.build["files"]  # to the last byte


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_the_json_of_a_scene_is_read_once(make_raw, tmp_path, monkeypatch, release: str) -> None:
    made, opened = make_raw(release), []
    for index in range(5):
        made.scene(index)
    made.json(3).write_text("{")
    really = os.open
    monkeypatch.setattr(os, "open", lambda path, *how, **more: (
        opened.append(Path(path)), really(path, *how, **more))[1])  # fmt: skip
    builder = ClevrtexBuilder(made.raw)
    options = BuildOptions(SIZE, max_skipped=0.5)
    store = open_store(build_store(builder, "clevrtex", tmp_path / "store", options))
    assert store.count("train") == 4
    assert [item["reason"] for item in store.build["skipped"]] == [
        f"{made.stem(3).name}: its JSON is not whole: Expecting property name enclosed in double "
        "quotes: line 1 column 2 (char 1)"
    ]
    assert sorted(path for path in opened if path in made.raw.rglob("*.json")) == [
        made.json(index) for index in range(5)
    ]


def test_a_worker_is_sent_little(make_raw) -> None:
    made = make_raw()
    for index in range(50):
        made.scene(index, 10)
    builder = ClevrtexBuilder(made.raw)
    sources = builder.splits()["train"]
    assert len(pickle.dumps(builder)) < 500  # nothing of what was read
    assert all(len(pickle.dumps(source)) < 2000 for source in sources)
    assert [str(source) for source in sources[10:12]] == [made.stem(i).name for i in (10, 11)]


def test_the_benchmarks_crop_drops_the_objects_that_it_cuts_off(make_raw, boxes, tmp_path) -> None:
    made = make_raw()
    made.scene(0, 10)
    store = _build(made, tmp_path / "store", size=192, protocol="benchmark", split_by="test")
    assert store.build["splits"]["test"] == {
        "scenes": 1, "objects": 7, "dropped_objects": 3, "hidden_objects": 0,
    }  # fmt: skip
    kept = boxes(10)[24:216, 64:256]
    assert sorted(set(kept.ravel())) == [0, 2, 3, 4, 5, 6, 7, 8]
    wanted = np.where(kept == 0, 0, kept - 1)  # numbered 1 to 7 again
    np.testing.assert_array_equal(store.masks("test", [0])[0], wanted)
    labels, lengths = store.primitives("test")
    assert lengths.tolist() == [7]
    assert [round(float(row[3]) * 4) for row in labels[0, :7]] == [2, 3, 4, 5, 6, 7, 8]
    np.testing.assert_array_equal(
        store.images("test", [0])[0], made.pixels(0)[24:216, 64:256]
    )  # at the crop's own size nothing is resampled


@pytest.mark.parametrize(
    ("protocol", "kept"), [("nsi", [1, 3]), ("benchmark", [3]), ("release", [1, 3])]
)
def test_a_scene_whose_object_has_no_pixel_is_kept_without_that_object(
    make_raw, boxes, tmp_path, protocol: str, kept: list[int]
) -> None:
    made = make_raw()
    made.scene(0, 3)
    mask = boxes(3)
    mask[mask == 2] = 0  # the crop cuts object 1 off
    made.write_mask(0, mask)
    store = _build(made, tmp_path / "store", split_by="test", protocol=protocol)
    assert store.build["skipped"] == []
    assert store.build["splits"]["test"] == {
        "scenes": 1, "objects": len(kept), "dropped_objects": 3 - len(kept), "hidden_objects": 1,
    }  # fmt: skip
    labels, lengths = store.primitives("test")
    assert lengths.tolist() == [len(kept)]
    assert [round(float(row[3]) * 4) for row in labels[0, : len(kept)]] == kept
    assert set(np.unique(store.masks("test", [0]))) == set(range(len(kept) + 1))


def test_an_object_that_the_resize_leaves_no_pixel_is_dropped(make_raw, boxes, tmp_path) -> None:
    made = make_raw()
    made.scene(0, 3)
    mask = boxes(3)
    mask[mask == 2] = 0
    mask[0, 0] = 2
    made.write_mask(0, mask)
    store = _build(made, tmp_path / "store", split_by="test", size=16)
    assert store.build["splits"]["test"] == {
        "scenes": 1, "objects": 2, "dropped_objects": 1, "hidden_objects": 0,
    }  # fmt: skip


def test_labels_have_the_published_columns_and_ids_of_their_own(make_raw, thing, tmp_path) -> None:
    """A published row is the ids of size, shape and material, then x, y, z.

    There, sizes and shapes are numbered as its code lists them; here every vocabulary is sorted.
    """
    made = make_raw()
    objects = [thing(1, size=size, shape=shape) for size, shape in
               (("small", "cube"), ("medium", "cylinder"), ("large", "monkey"))]  # fmt: skip
    for number, one in enumerate(objects, start=1):
        one["index"] = number
    made.scene(0, objects)
    out = tmp_path / "store"
    store = _build(made, out, split_by="test")
    assert list(store.schema.columns) == ["size", "shape", "material", "position"]
    labels, lengths = (np.load(out / f"test_{name}.npy") for name in ("labels", "lengths"))
    rows = labels[0][: lengths[0]]
    ids = json.loads((out / "program2label.json").read_text())
    for row, one in zip(rows, objects, strict=True):
        assert row[:3].tolist() == [ids[name][one[name]] for name in ("size", "shape", "material")]
        assert row[3:].tolist() == one["3d_coords"]
    published = {"small": 0, "medium": 1, "large": 2}
    assert ids["size"] == {"large": 0, "medium": 1, "small": 2} != published


def test_notes_on_the_splits_are_printed_and_recorded(make_raw, tmp_path) -> None:
    made = make_raw(variant="camo")
    for index in range(20):
        made.scene(index, 1)
    store = _build(made, tmp_path / "tenths", split_by="benchmark")
    assert {split: store.count(split) for split in store.splits} == {
        "train": 16, "val": 2, "test": 2,
    }  # fmt: skip
    assert "test 0–1 (2), val 2–3 (2), train 4–19 (16)" in store.build["notes"][0]
    store = _build(made, tmp_path / "test", split_by="nsi")
    assert store.splits == ("test",)
    assert "all 20 scenes of camo are for test" in store.build["notes"][0]


def test_more_materials_than_the_dataset_has_are_refused(make_raw, thing, tmp_path) -> None:
    made = make_raw("v2")
    names = [f"material{i}" for i in range(61)]
    for i in range(7):
        some = names[10 * i : 10 * i + 10]
        made.scene(i, [thing(j, material=name) for j, name in enumerate(some, start=1)])
    with pytest.raises(DataError, match=r"61 materials in .*, full has 60"):
        _build(made, tmp_path / "store")


def test_synthetic_scenes_never_mix_with_others(make_raw, tmp_path) -> None:
    made = make_raw()
    made.scene(0, 1)
    before = made.json(0).read_bytes()
    with pytest.raises(DataError, match="holds other files than these synthetic scenes"):
        ClevrtexBuilder(made.raw).synthesize(1, seed=0, workers=0)
    assert made.json(0).read_bytes() == before

    synthetic = ClevrtexBuilder(tmp_path / "synthetic")
    synthetic.synthesize(1, seed=0, workers=0)
    synthetic.synthesize(1, seed=0, workers=0)  # as after an interruption
    with pytest.raises(DataError, match="holds other files"):
        synthetic.synthesize(1, seed=1, workers=0)
    assert list(ClevrtexBuilder(tmp_path / "synthetic").splits()) == ["train"]
