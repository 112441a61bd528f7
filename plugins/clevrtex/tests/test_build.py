"""Raw folders of both layouts are built into correct stores."""

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

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.store.reader import open_store
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import sha256

SIZE = 48


def _build(writer, out, workers=0, size=SIZE, **options):
    builder = ClevrtexBuilder(writer.raw, variant=writer.variant, **options)
    recorded = {"split_by": builder.split_by}
    build_store(builder, "clevrtex", out, BuildOptions(size, workers, recorded=recorded))
    return open_store(out)


def _nearest(mask: np.ndarray, size: int = SIZE) -> np.ndarray:
    return np.asarray(Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST))


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_every_file_of_the_store_matches_the_raw_files(
    make_raw, boxes, make_object, tmp_path, release: str
) -> None:
    writer = make_raw(release)
    writer.scene(0, 3, mode="RGBA")
    writer.scene(1, 10, mode="RGB")
    writer.scene(40_000, [make_object(2), make_object(1, material="whitemarble")])
    out = tmp_path / "store"
    store = _build(writer, out)

    materials = ["poliigonbricks01", "poliigonfabricdenim003", "whitemarble"]
    values = {
        "shape": ["cube", "cylinder", "monkey", "sphere"],
        "size": ["large", "medium", "small"],
        "material": materials,
    }
    assert store.schema.to_json() == json.loads((out / "schema.json").read_text())
    assert {item.name: list(item.values) for item in store.schema.categorical} == values
    assert store.schema.max_objects == 10
    space, label_of, value_of = (
        json.loads((out / f"{name}.json").read_text())
        for name in ("program_space", "program2label", "label2program")
    )
    bounds = {"size": 3, "low": [-3.0] * 3, "high": [3.0] * 3}
    assert space == {**values, "position": bounds}
    assert label_of == {name: {v: i for i, v in enumerate(vs)} for name, vs in values.items()}
    assert value_of == {name: {str(i): v for i, v in enumerate(vs)} for name, vs in values.items()}

    assert store.splits == ("train", "test")
    assert store.ids("train") == [writer.stem(0).name, writer.stem(1).name]
    for split, index, of_raw in (("train", 0, 0), ("train", 1, 1), ("test", 0, 40_000)):
        image = Image.fromarray(writer.pixels(of_raw)).resize(
            (SIZE, SIZE), Image.Resampling.BICUBIC
        )
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
    assert (
        store.schema.decode([first, second])[0]["material"] == "whitemarble"
    )  # in the order of the indices


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_build_json_records_how_the_store_was_built(make_raw, tmp_path, release: str) -> None:
    writer = make_raw(release)
    for index in range(3):
        writer.scene(index, 2)
    store = _build(writer, tmp_path / "store", split_by="test")
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
    writer = make_raw()
    writer.scene(0, 4)
    _build(writer, tmp_path / "store")
    with h5py.File(tmp_path / "store" / "images.h5") as file:
        assert set(file) == {"train", "masks", "ids"}
        assert (file["train"].dtype, file["train"].shape) == (np.uint8, (1, SIZE, SIZE, 3))
        np.testing.assert_array_equal(file["masks/train"][0], _nearest(boxes(4)))
        assert file["ids/train"].asstr()[0] == "CLEVRTEX_full_000000"


def test_outd_has_its_own_values_and_is_all_for_test(make_raw, make_object, tmp_path) -> None:
    writer = make_raw(variant="outd")
    shapes = ("teapot", "cone", "torus", "icosahedron")
    for i, shape in enumerate(shapes):
        writer.scene(i, [make_object(1, shape=shape, material="poliigonchippedpaint015")])
    store = _build(writer, tmp_path / "store")
    assert store.splits == ("test",)
    assert store.schema["shape"].values == tuple(sorted(shapes))
    assert store.schema["material"].values == ("poliigonchippedpaint015",)


def test_colour_is_a_property_if_materials_are_plain(make_raw, make_object, tmp_path) -> None:
    writer = make_raw(variant="vbg")
    colours = ("red", "cyan")
    writer.scene(
        0,
        [
            make_object(i, material="rubber", color=colour)
            for i, colour in enumerate(colours, start=1)
        ],
    )
    store = _build(writer, tmp_path / "store")
    assert list(store.schema.columns) == ["size", "shape", "material", "color", "position"]
    assert store.schema["color"].values == ("cyan", "red")


def test_the_order_of_the_disk_changes_nothing(make_raw, tmp_path, monkeypatch) -> None:
    writer = make_raw()
    for index in random.Random(0).sample(range(12), 12):
        writer.scene(index, 1 + index % 10)
    first = _build(writer, tmp_path / "first")
    scan = os.scandir

    class Shuffled(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(
        os, "scandir", lambda path: Shuffled(random.Random(1).sample(e := list(scan(path)), len(e)))
    )
    second = _build(writer, tmp_path / "second")
    assert first.schema == second.schema
    assert first.ids("train") == second.ids("train")
    for name in ("images.h5", "train_labels.npy", "program2label.json"):
        assert sha256(tmp_path / "first" / name) == sha256(tmp_path / "second" / name)


@pytest.mark.slow
def test_worker_processes_change_nothing(make_raw, tmp_path, monkeypatch) -> None:
    writer = make_raw()
    for index in range(9):
        writer.scene(index, 1 + index)
    writer.scene(40_000, 2)
    monkeypatch.setattr("nsi_cli.data.build.plan.CHUNK", 2)
    serial = _build(writer, tmp_path / "serial")
    parallel = _build(writer, tmp_path / "parallel", workers=2)
    assert serial.build["files"] == parallel.build["files"]  # byte for byte


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_the_json_of_a_scene_is_read_once(make_raw, tmp_path, monkeypatch, release: str) -> None:
    writer, opened = make_raw(release), []
    for index in range(5):
        writer.scene(index)
    writer.json(3).write_text("{")
    original = os.open
    monkeypatch.setattr(os, "open", lambda path, *flags, **options: (
        opened.append(Path(path)), original(path, *flags, **options))[1])  # fmt: skip
    builder = ClevrtexBuilder(writer.raw)
    options = BuildOptions(SIZE, max_skipped=0.5)
    store = open_store(build_store(builder, "clevrtex", tmp_path / "store", options))
    assert store.count("train") == 4
    assert [item["reason"] for item in store.build["skipped"]] == [
        f"{writer.stem(3).name}: its JSON is damaged: Expecting property name enclosed in double "
        "quotes: line 1 column 2 (char 1)"
    ]
    assert sorted(path for path in opened if path in writer.raw.rglob("*.json")) == [
        writer.json(index) for index in range(5)
    ]


def test_little_data_is_sent_to_a_worker(make_raw) -> None:
    writer = make_raw()
    for index in range(50):
        writer.scene(index, 10)
    builder = ClevrtexBuilder(writer.raw)
    sources = builder.splits()["train"]
    assert len(pickle.dumps(builder)) < 500  # without the contents of the JSON files
    assert all(len(pickle.dumps(source)) < 2000 for source in sources)
    assert [str(source) for source in sources[10:12]] == [writer.stem(i).name for i in (10, 11)]


def test_the_benchmarks_crop_drops_the_objects_that_it_cuts_off(make_raw, boxes, tmp_path) -> None:
    writer = make_raw()
    writer.scene(0, 10)
    store = _build(writer, tmp_path / "store", size=192, protocol="benchmark", split_by="test")
    assert store.build["splits"]["test"] == {
        "scenes": 1, "objects": 7, "dropped_objects": 3, "hidden_objects": 0,
        "dropped_in": ["CLEVRTEX_full_000000"],
    }  # fmt: skip
    cropped = boxes(10)[24:216, 64:256]
    assert sorted(set(cropped.ravel())) == [0, 2, 3, 4, 5, 6, 7, 8]
    expected = np.where(cropped == 0, 0, cropped - 1)  # renumbered 1 to 7
    np.testing.assert_array_equal(store.masks("test", [0])[0], expected)
    labels, lengths = store.primitives("test")
    assert lengths.tolist() == [7]
    assert [round(float(row[3]) * 4) for row in labels[0, :7]] == [2, 3, 4, 5, 6, 7, 8]
    np.testing.assert_array_equal(
        store.images("test", [0])[0], writer.pixels(0)[24:216, 64:256]
    )  # at the crop's own size nothing is resampled


@pytest.mark.parametrize(
    ("protocol", "visible"), [("nsi", [1, 3]), ("benchmark", [3]), ("release", [1, 3])]
)
def test_an_object_without_a_pixel_is_dropped_from_its_scene(
    make_raw, boxes, tmp_path, protocol: str, visible: list[int]
) -> None:
    writer = make_raw()
    writer.scene(0, 3)
    mask = boxes(3)
    mask[mask == 2] = 0  # the crop cuts object 1 off
    writer.write_mask(0, mask)
    store = _build(writer, tmp_path / "store", split_by="test", protocol=protocol)
    assert store.build["skipped"] == []
    assert store.build["splits"]["test"] == {
        "scenes": 1,
        "objects": len(visible),
        "dropped_objects": 3 - len(visible),
        "hidden_objects": 1,
        "dropped_in": ["CLEVRTEX_full_000000"],
    }
    labels, lengths = store.primitives("test")
    assert lengths.tolist() == [len(visible)]
    assert [round(float(row[3]) * 4) for row in labels[0, : len(visible)]] == visible
    assert set(np.unique(store.masks("test", [0]))) == set(range(len(visible) + 1))


def test_an_object_without_a_pixel_after_the_resize_is_dropped(make_raw, boxes, tmp_path) -> None:
    writer = make_raw()
    writer.scene(0, 3)
    mask = boxes(3)
    mask[mask == 2] = 0
    mask[0, 0] = 2
    writer.write_mask(0, mask)
    store = _build(writer, tmp_path / "store", split_by="test", size=16)
    assert store.build["splits"]["test"] == {
        "scenes": 1, "objects": 2, "dropped_objects": 1, "hidden_objects": 0,
        "dropped_in": ["CLEVRTEX_full_000000"],
    }  # fmt: skip


def test_labels_have_the_published_columns_but_other_ids(make_raw, make_object, tmp_path) -> None:
    """A published row is the ids of size, shape and material, then x, y, z.

    The published code numbers sizes and shapes in its own order; here every vocabulary is sorted.
    """
    writer = make_raw()
    objects = [make_object(1, size=size, shape=shape) for size, shape in
               (("small", "cube"), ("medium", "cylinder"), ("large", "monkey"))]  # fmt: skip
    for number, item in enumerate(objects, start=1):
        item["index"] = number
    writer.scene(0, objects)
    out = tmp_path / "store"
    store = _build(writer, out, split_by="test")
    assert list(store.schema.columns) == ["size", "shape", "material", "position"]
    labels, lengths = (np.load(out / f"test_{name}.npy") for name in ("labels", "lengths"))
    rows = labels[0][: lengths[0]]
    ids = json.loads((out / "program2label.json").read_text())
    for row, item in zip(rows, objects, strict=True):
        assert row[:3].tolist() == [ids[name][item[name]] for name in ("size", "shape", "material")]
        assert row[3:].tolist() == item["3d_coords"]
    published = {"small": 0, "medium": 1, "large": 2}
    assert ids["size"] == {"large": 0, "medium": 1, "small": 2} != published


@pytest.mark.slow
def test_notes_on_the_splits_are_printed_and_recorded(make_raw, tmp_path) -> None:
    writer = make_raw(variant="camo")
    for index in range(20):
        writer.scene(index, 1)
    store = _build(writer, tmp_path / "tenths", split_by="benchmark")
    assert {split: store.count(split) for split in store.splits} == {
        "train": 16, "val": 2, "test": 2,
    }  # fmt: skip
    assert "test 0–1 (2), val 2–3 (2), train 4–19 (16)" in store.build["notes"][0]
    store = _build(writer, tmp_path / "test", split_by="nsi")
    assert store.splits == ("test",)
    assert "all 20 scenes of camo are for test" in store.build["notes"][0]


def test_more_materials_than_the_dataset_has_are_an_error(make_raw, make_object, tmp_path) -> None:
    writer = make_raw("v2")
    names = [f"material{i}" for i in range(61)]
    for i in range(7):
        chunk = names[10 * i : 10 * i + 10]
        writer.scene(i, [make_object(j, material=name) for j, name in enumerate(chunk, start=1)])
    with pytest.raises(DataError, match=r"61 materials in .*, but full has 60"):
        _build(writer, tmp_path / "store")


def test_synthetic_scenes_never_mix_with_others(make_raw, tmp_path) -> None:
    writer = make_raw()
    writer.scene(0, 1)
    before = writer.json(0).read_bytes()
    with pytest.raises(DataError, match="contains files other than these"):
        ClevrtexBuilder(writer.raw).synthesize(1, seed=0, workers=0)
    assert writer.json(0).read_bytes() == before

    synthetic = ClevrtexBuilder(tmp_path / "synthetic")
    synthetic.synthesize(1, seed=0, workers=0)
    synthetic.synthesize(1, seed=0, workers=0)  # as after an interruption
    with pytest.raises(DataError, match="contains files other"):
        synthetic.synthesize(1, seed=1, workers=0)
    assert list(ClevrtexBuilder(tmp_path / "synthetic").splits()) == ["train"]
