"""Tables of every kind are built into stores with the right objects, boxes, masks and splits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from nsi_table import nsi_tasks
from nsi_table.builder import TableBuilder
from PIL import Image

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.store.reader import open_store
from nsi_cli.plugins import ConfigError, DataError
from nsi_cli.testing import check_task


def objects(builder: TableBuilder, name: str) -> list[dict]:
    """The objects of an image."""
    sources = {source.id: source for part in builder.splits().values() for source in part}
    return builder.schema().decode(builder.load(sources[name]).primitives)


def fill(raw_table, count: int = 12, folder: str = "") -> list[str]:
    """Write images, and return their names."""
    names = [f"{folder}{number:02d}.png" for number in range(count)]
    for name in names:
        raw_table.image(name)
    return names


@pytest.mark.slow
def test_the_task_meets_the_contract(raw_table) -> None:
    names = fill(raw_table)
    rows = [(name, "abc"[index % 3], index, 2, 8, 9) for name in names for index in range(3)]
    raw_table.csv(("image", "letter", "x", "y", "w", "h"), rows)
    check_task(nsi_tasks(), raw=raw_table.root)


@pytest.mark.parametrize(
    ("header", "box"),
    [
        (("x", "y", "w", "h"), (10, 15, 20, 6)),
        (("xmin", "ymin", "xmax", "ymax"), (10, 15, 30, 21)),
        (("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"), (10, 15, 30, 21)),
        (("x_center", "y_center", "width", "height"), (0.5, 0.6, 0.5, 0.2)),
        (("bbox.left", "bbox.top", "bbox.width", "bbox.height"), (10, 15, 20, 6)),
        (("bbox",), ("[10, 15, 20, 6]",)),
        (("bbox_xyxy",), ("(10, 15, 30, 21)",)),
    ],
)
def test_boxes_of_any_format_are_centre_and_size_in_shares_of_the_image(
    raw_table, header, box
) -> None:
    names = fill(raw_table)
    raw_table.csv(("image", "kind", *header), [(n, "ab"[i % 2], *box) for i, n in enumerate(names)])
    (item,) = objects(TableBuilder(raw_table.root), names[0])
    assert item == {
        "kind": "a", "center": pytest.approx((0.5, 0.6)), "size": pytest.approx((0.5, 0.2)),
    }  # fmt: skip


def test_a_list_of_four_numbers_is_left_top_right_bottom_if_only_so_it_lies_in_the_image(
    raw_table, inferred
) -> None:
    names = fill(raw_table)
    rows = [(name, "ab"[i % 2], "[20, 15, 38, 29]") for i, name in enumerate(names)]
    raw_table.csv(("image", "kind", "bbox"), rows)
    assert inferred().schema.box.format == "xyxy"
    assert inferred(box_format="xywh").schema.box.format == "xywh"


def test_an_ambiguous_list_of_four_numbers_is_a_question(raw_table, inferred) -> None:
    names = fill(raw_table)
    rows = [(name, "ab"[i % 2], "[2, 3, 8, 9]") for i, name in enumerate(names)]
    raw_table.csv(("image", "kind", "bbox"), rows)
    result = inferred()
    assert result.schema.box.format == "xywh"
    assert any("--box-format xyxy" in line for line in result.warnings)


def test_an_object_outside_the_image_is_dropped_and_one_without_a_box_is_kept(raw_table) -> None:
    raw_table.image("a.png")
    rows = [
        ("a.png", "in", 1, 1, 5, 5),
        ("a.png", "out", 50, 1, 5, 5),
        ("a.png", "none", *[""] * 4),
    ]
    raw_table.csv(("image", "kind", "x", "y", "w", "h"), rows)
    builder = TableBuilder(raw_table.root)
    with pytest.raises(DataError, match="too few"):
        builder.splits()
    scene = builder.load(builder._scenes._scene("a.png"))
    assert scene.dropped == 1
    first, second = builder.schema().decode(scene.primitives)
    assert (first["kind"], second["kind"], second["center"]) == ("in", "none", None)


@pytest.mark.parametrize("given", [False, True], ids=["inferred", "schema file"])
def test_cells_of_boxes_that_are_missing_or_no_numbers_are_said(
    raw_table, tmp_path, given: bool
) -> None:
    names = fill(raw_table)
    rows = [[name, "ab"[i % 2], 1, 2, 5, 6] for i, name in enumerate(names)]
    rows[2][4], rows[5][4], rows[7][3], rows[7][1] = "abc", "5 px", "", "n/a"
    raw_table.csv(("image", "kind", "x", "y", "w", "h"), rows)
    builder = TableBuilder(raw_table.root)
    if given:
        (tmp_path / "schema.yaml").write_text(builder.infer())
        builder = TableBuilder(raw_table.root, schema_=tmp_path / "schema.yaml")
    notes = builder.notes()
    assert "missing values among 12 objects: kind 1, y 1 (stored as missing)" in notes
    assert (
        "warning: column w: 2 cells are not numbers, the first in line 4 of objects.csv: 'abc'; "
        "their objects are stored without center and size"
    ) in notes
    (item,) = objects(builder, names[2])
    assert item == {"kind": "a", "center": None, "size": None}


def test_a_column_becomes_the_scene_label_only_if_asked_for(raw_table, tmp_path) -> None:
    names = fill(raw_table)
    rows = [(name, kind, ["sea", "", "land"][int(name[:2]) % 3]) for name in names for kind in "ab"]
    raw_table.csv(("image", "kind", "place"), rows)
    assert TableBuilder(raw_table.root).scene_label() is None
    asked = TableBuilder(raw_table.root, scene_label_="place")
    assert [item.name for item in asked.schema().properties] == ["kind"]
    path = tmp_path / "schema.yaml"
    path.write_text(asked.infer())
    for builder in (asked, TableBuilder(raw_table.root, schema_=path)):
        store = open_store(build_store(builder, "table", tmp_path / "store", BuildOptions(16)))
        assert (store.scene_label.name, store.scene_label.values) == ("place", ("land", "sea"))
        ids = {
            name: number
            for split in store.splits
            for name, number in zip(store.ids(split), store.scene_labels(split), strict=True)
        }
        assert [ids[name] for name in names[:3]] == [1, -1, 0]


def test_a_scene_label_of_imagefolder_metadata_is_a_key_beside_the_objects(raw_table) -> None:
    lines = [
        {"file_name": name, "place": ["sea", "land"][index % 2], "objects": {"kind": ["a", "b"]}}
        for index, name in enumerate(fill(raw_table))
    ]
    text = "\n".join(map(json.dumps, lines))
    (raw_table.root / "metadata.jsonl").write_text(text)
    builder = TableBuilder(raw_table.root, scene_label_="place")
    sources = [source for part in builder.splits().values() for source in part]
    assert {source.id: builder.load(source).label for source in sources}["01.png"] == "land"
    assert any("--scene-label place" in line for line in TableBuilder(raw_table.root).notes())


def test_a_scene_label_that_differs_within_an_image_is_refused(raw_table) -> None:
    raw_table.csv(("image", "kind", "n"), [(n, k, k) for n in fill(raw_table) for k in "ab"])
    with pytest.raises(DataError, match=r"image 00\.png has several values of 'kind': a and b"):
        TableBuilder(raw_table.root, scene_label_="kind").splits()


def test_columns_named_by_axes_are_one_vector(raw_table, inferred) -> None:
    names = fill(raw_table)
    header = ("image", "x", "y", "z", "vel_x", "vel_y", "spin.0", "spin.1", "spin.2")
    rows = [(name, i, i / 2, 0, i, -i, 1, i, 2) for i, name in enumerate(names)]
    raw_table.csv(header, rows)
    properties = inferred().schema.properties
    assert {name: item.columns for name, item in properties.items()} == {
        "position": ("x", "y", "z"),
        "vel": ("vel_x", "vel_y"),
        "spin": ("spin.0", "spin.1", "spin.2"),
    }
    assert properties["position"].low == (0, 0, 0)
    assert properties["position"].high == (11, 5.5, 1)


def test_an_instance_mask_is_renumbered_by_the_column_of_values(raw_table) -> None:
    values = np.zeros((30, 40), np.uint16)
    values[2:5, 3:9], values[10:20, 10:20] = 700, 300
    rows = []
    for name in fill(raw_table, folder="images/"):
        raw_table.mask(f"masks/{Path(name).name}", values)
        rows += [(name, Path(name).name, 300, "big"), (name, Path(name).name, 700, "small"),
                 (name, Path(name).name, 9, "hidden")]  # fmt: skip
    raw_table.csv(("image", "mask", "mask_value", "kind"), rows)
    builder = TableBuilder(raw_table.root)
    source = builder.splits()["train"][0]
    scene = builder.load(source)
    np.testing.assert_array_equal(scene.mask, (values == 300) + 2 * (values == 700))
    assert (scene.dropped, scene.hidden) == (1, 1)


def test_a_mask_of_each_object_puts_small_objects_above_large_ones(raw_table) -> None:
    small, large = np.zeros((2, 30, 40), np.uint8)
    small[5:8, 5:8] = 255
    large[4:20, 4:20] = 255
    rows = []
    for number, name in enumerate(fill(raw_table, folder="images/")):
        for kind, values in (("small", small), ("large", large)):
            raw_table.mask(f"masks/{number}_{kind}.png", values)
            rows.append((name, f"masks/{number}_{kind}.png", kind))
    raw_table.csv(("image", "mask", "kind"), rows)
    builder = TableBuilder(raw_table.root)
    mask = builder.load(builder.splits()["train"][0]).mask
    np.testing.assert_array_equal(mask, np.where(small > 0, 1, np.where(large > 0, 2, 0)))


def test_a_mask_of_several_objects_without_their_values_is_a_question(raw_table, inferred) -> None:
    rows = [(name, "mask.png", kind) for name in fill(raw_table) for kind in "ab"]
    raw_table.csv(("image", "mask", "kind"), rows)
    assert inferred().schema.mask is None
    assert any("add a column mask_value" in line for line in inferred().warnings)


def test_splits_come_from_a_column_under_their_usual_names(raw_table) -> None:
    names = fill(raw_table)
    words = ["Train"] * 8 + ["validation"] * 2 + ["test"] * 2
    rows = [(n, s, "ab"[i % 2]) for i, (n, s) in enumerate(zip(names, words, strict=True))]
    raw_table.csv(("image", "subset", "kind"), rows)
    splits = TableBuilder(raw_table.root).splits()
    assert {name: len(part) for name, part in splits.items()} == {"train": 8, "val": 2, "test": 2}
    assert list(splits) == ["train", "val", "test"]
    assert len(TableBuilder(raw_table.root, split_by="random").splits()["train"]) == 10


def test_an_image_in_two_splits_is_refused(raw_table) -> None:
    names = fill(raw_table, 4)
    rows = [
        (name, split, "ab"[i % 2]) for i, name in enumerate(names) for split in ("train", "test")
    ]
    raw_table.csv(("image", "split", "kind"), rows)
    with pytest.raises(DataError, match=r"00\.png is in test and train") as caught:
        TableBuilder(raw_table.root).splits()
    assert "--split-by random" in caught.value.hint


def test_splits_come_from_folders(raw_table) -> None:
    names = (
        fill(raw_table, 6, "train/") + fill(raw_table, 2, "valid/") + fill(raw_table, 2, "test/")
    )
    raw_table.csv(("image", "kind"), [(name, "ab"[i % 2]) for i, name in enumerate(names)])
    splits = TableBuilder(raw_table.root).splits()
    assert {name: len(part) for name, part in splits.items()} == {"train": 6, "val": 2, "test": 2}


def test_a_table_for_each_split_is_read_as_one(raw_table) -> None:
    for split, count in (("train", 6), ("test", 2)):
        names = fill(raw_table, count, f"{split}-")
        rows = [(name, "ab"[i % 2]) for i, name in enumerate(names)]
        raw_table.csv(("image", "kind"), rows, name=f"{split}.csv")
    splits = TableBuilder(raw_table.root).splits()
    assert {name: len(part) for name, part in splits.items()} == {"train": 6, "test": 2}


def _records(names: list[str]) -> list[dict]:
    return [
        {
            "file_name": name,
            "width": 40,
            "objects": {"bbox": [[0, 0, 20, 15]] * (i % 3), "category": ["cat", "dog"][: i % 3]},
        }
        for i, name in enumerate(names)
    ]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "list"])
def test_the_imagefolder_convention_has_a_list_of_objects_for_each_image(
    raw_table, kind: str
) -> None:
    names = fill(raw_table)
    records = _records(names)
    path = raw_table.root / f"metadata.{kind}"
    if kind == "parquet":
        pytest.importorskip("pyarrow.parquet").write_table(
            pytest.importorskip("pyarrow").Table.from_pylist(records), path
        )
    elif kind == "csv":
        rows = [(item["file_name"], json.dumps(item["objects"])) for item in records]
        raw_table.csv(("file_name", "objects"), rows, name="metadata.csv")
    else:
        if kind == "list":
            for item in records:
                columns = item["objects"]
                pairs = zip(columns["bbox"], columns["category"], strict=True)
                item["objects"] = [{"bbox": box, "category": word} for box, word in pairs]
        path = path.with_suffix(".jsonl")
        path.write_text("\n".join(map(json.dumps, records)))
    builder = TableBuilder(raw_table.root, keep_empty=True)
    assert {item.name for item in builder.schema().properties} == {"category", "center", "size"}
    assert objects(builder, names[0]) == []
    assert [item["category"] for item in objects(builder, names[2])] == ["cat", "dog"]
    assert objects(builder, names[1])[0]["center"] == (0.25, 0.25)
    assert any("scenes without objects: 4" in line for line in builder.notes())


def test_imagefolder_metadata_in_folders_of_splits_is_read_as_one(raw_table) -> None:
    for split in ("train", "test"):
        names = fill(raw_table, 6, f"{split}/")
        records = [{**item, "file_name": Path(item["file_name"]).name} for item in _records(names)]
        text = "\n".join(map(json.dumps, records))
        (raw_table.root / split / "metadata.jsonl").write_text(text)
    builder = TableBuilder(raw_table.root)
    assert {name: len(part) for name, part in builder.splits().items()} == {"train": 4, "test": 4}


def test_parquet_without_pyarrow_is_one_line(raw_table, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (raw_table.root / "objects.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="needs pyarrow") as caught:
        TableBuilder(raw_table.root).schema()
    assert "nsi-cli[parquet]" in caught.value.hint


def test_images_without_an_object_are_said_and_kept_if_asked_for(raw_table) -> None:
    names = fill(raw_table)
    rows = [(name, "ab"[i % 2]) for i, name in enumerate(names[:10])] + [(names[10], "")]
    raw_table.csv(("image", "kind"), rows)
    builder = TableBuilder(raw_table.root)
    assert any("without an object, left out: 2, of which 1" in line for line in builder.notes())
    assert sum(map(len, builder.splits().values())) == 10
    kept = TableBuilder(raw_table.root, keep_empty=True)
    assert sum(map(len, kept.splits().values())) == 12
    assert objects(kept, "10.png") == objects(kept, "11.png") == []


def test_of_too_many_objects_those_with_the_largest_boxes_are_kept(raw_table) -> None:
    names = fill(raw_table)
    rows = [(name, str(size), 0, 0, size, size) for name in names for size in (3, 9, 5, 7)]
    raw_table.csv(("image", "kind", "x", "y", "w", "h"), rows)
    builder = TableBuilder(raw_table.root, max_objects=2)
    assert [item["kind"] for item in objects(builder, names[0])] == ["9", "7"]
    assert any("largest boxes are kept" in line for line in builder.notes())


def test_similar_spellings_are_said_and_merged_if_asked_for(raw_table, inferred) -> None:
    raw_table.column("color", ["Red", "red ", " red", "blue", "light-blue", "light blue"] * 20)
    result = inferred()
    assert result.schema.properties["color"].values == (
        "Red", "blue", "light blue", "light-blue", "red",
    )  # fmt: skip
    assert any("'red' (40) and 'Red' (20)" in line for line in result.warnings)
    merged = inferred(merge_spellings=True).schema.properties["color"]
    assert merged.values == ("blue", "light blue", "red")
    assert merged.spellings == {"Red": "red", "light-blue": "light blue"}
    builder = TableBuilder(raw_table.root, merge_spellings=True)
    assert {item["color"] for item in objects(builder, "images/000.png")} == {"red", "blue"}


def test_a_typing_error_is_said(raw_table, inferred) -> None:
    raw_table.column("form", ["cylinder", "sphere"] * 100 + ["cyclinder"])
    assert any("'cylinder' (100) and 'cyclinder' (1)" in line for line in inferred().warnings)


def test_an_edited_schema_file_is_followed(raw_table, tmp_path) -> None:
    names = fill(raw_table)
    raw_table.csv(("image", "kind", "w"), [(n, "abc"[i % 3], i) for i, n in enumerate(names)])
    text = TableBuilder(raw_table.root).infer()
    assert text.startswith("# Inferred from objects.csv: 12 rows, 12 images.")
    path = tmp_path / "schema.yaml"
    path.write_text(
        text.replace("  kind:\n", "  letter:\n").replace(
            "[a, b, c]", "[a, b]\n    spellings: {c: a}"
        )
    )
    builder = TableBuilder(raw_table.root, schema_=path)
    assert objects(builder, names[2]) == [{"letter": "a", "w": 2.0}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("image: image", "imag: image"), r"imag: unknown key \(did you mean 'image'\?\)"),
        (("columns: [kind]", "columns: [kinds]"), r"no column 'kinds'"),
        (("values: [a, b, c]", "values: [a, b]"), "line 4: kind 'c' is not in the schema file"),
        (("max_objects: 1", "max_objects: few"), "max_objects: input should be a valid integer"),
        (("kind: categorical", "kind: words"), "kind: input should be 'categorical'"),
        (("values: [a, b, c]", "values: []"), "property 'kind': values must be"),
        (("image: image", "image: ["), "cannot be read"),
    ],
)
def test_a_wrong_schema_file_is_one_line(raw_table, tmp_path, change, message: str) -> None:
    names = fill(raw_table)
    raw_table.csv(("image", "kind"), [(n, "abc"[i % 3]) for i, n in enumerate(names)])
    path = tmp_path / "schema.yaml"
    text = TableBuilder(raw_table.root).infer()
    assert change[0] in text
    path.write_text(text.replace(*change, 1))
    with pytest.raises((ConfigError, DataError), match=message) as caught:
        TableBuilder(raw_table.root, schema_=path).splits()
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_answers_that_a_schema_file_overrides_are_refused(raw_table) -> None:
    builder = TableBuilder(raw_table.root, schema_=Path("schema.yaml"), leave_out="a")
    assert builder.faults() == ["leave_out: has no effect with --schema; edit the file"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "objects.csv is empty", "line of column names"),
        ("image,kind\n", "has no rows", "a row for each object"),
        ("image,kind\na.png,b,c\n", "line 2 has 3 fields, but there are 2 columns", "quotes"),
        ('image,kind,n\na.png,b,1\nb.png,"b,2\nc.png,b,3\n', "a quote in line 3 is", "close it"),
        ('image,kind\na.png,b\nb.png,"b\nc.png,b\n', "a quote in line 3 is not", "close it"),
        ('image,kind\na.png,"b\nb.png,"b"\nc.png,b\n', "a quote in line 2 is not", "close it"),
        ("image,kind,kind\na.png,b,c\n", "two columns are called 'kind'", "rename"),
        ("a.png,1\nb.png,2\n", "its first line has numbers", "image,shape,x,y"),
        ("kind,weight\na,0.5\n", "no column names image files", "--image-column"),
        ("image,id\n00.png,1\n01.png,2\n", "no column is a property", "--categorical COLUMN"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_line_with_a_hint(
    raw_table, text: str, message: str, hint: str
) -> None:
    fill(raw_table)
    (raw_table.root / "objects.csv").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        TableBuilder(raw_table.root).schema()
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no annotation file in"),
        ({"a.csv": "x", "b.csv": "y"}, "2 tables in .*: a.csv, b.csv"),
        ({"a.json": '{"images": [], "annotations": []}'}, "a.json is a COCO file"),
        ({"a.jsonl": '{"a": 1}\n{"a": '}, "a.jsonl: line 2 is not valid JSON"),
        ({"a.jsonl": "3"}, "line 1 is not a JSON object"),
        ({"a.jsonl": '{"objects": {"a": [1], "b": []}}'}, "lists of one length"),
    ],
)
def test_annotations_that_cannot_be_read_are_one_line(raw_table, files, message: str) -> None:
    for name, text in files.items():
        (raw_table.root / name).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        TableBuilder(raw_table.root).schema()
    assert caught.value.hint


def test_an_unknown_column_in_a_flag_has_a_suggestion(raw_table) -> None:
    names = fill(raw_table)
    raw_table.csv(("image", "kind"), [(n, "abc"[i % 3]) for i, n in enumerate(names)])
    with pytest.raises(ConfigError, match="no column 'kinds'") as caught:
        TableBuilder(raw_table.root, categorical="kinds").schema()
    assert caught.value.hint == "did you mean 'kind'?"


@pytest.mark.slow
def test_a_build_in_worker_processes_stores_what_the_table_says(raw_table, tmp_path) -> None:
    names = fill(raw_table)
    rows = [(n, "abc"[i % 3], 10, 10, 20, 10) for i, n in enumerate(names)]
    raw_table.csv(("image", "kind", "x", "y", "w", "h"), rows)
    builder = TableBuilder(raw_table.root)
    build_store(builder, "table", tmp_path / "store", BuildOptions(32, 1))
    store = open_store(tmp_path / "store")
    ids, (labels, _) = store.ids("train"), store.primitives("train")
    assert [item["kind"] for item in store.schema.decode(labels[:, 0])] == [
        "abc"[names.index(name) % 3] for name in ids
    ]
    expected = np.asarray(Image.open(raw_table.root / ids[3]).resize((32, 32), 3))
    np.testing.assert_array_equal(store.images("train", [3])[0], expected)


def test_an_image_on_its_side_is_turned_to_the_size_that_the_table_states(raw_table) -> None:
    rows = []
    for number in range(4):
        turned = Image.new("RGB", (30, 40), (number, 0, 0))
        exif = turned.getexif()
        exif[0x0112] = 6  # to be turned by 270 degrees
        turned.save(raw_table.root / f"{number}.jpg", exif=exif)
        rows.append((f"{number}.jpg", 40, 30, "ab"[number % 2], 0, 0, 20, 15))
    raw_table.csv(("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"), rows)
    builder = TableBuilder(raw_table.root)
    assert [item.name for item in builder.schema().properties] == ["class", "center", "size"]
    scene = builder.load(builder.splits()["train"][0])
    assert scene.pixels.shape == (30, 40, 3)
    Image.new("RGB", (31, 40)).save(raw_table.root / "0.jpg")
    with pytest.raises(DataError, match="31×40 pixels, but the annotations are for 40×30"):
        builder.load(builder._scenes._scene("0.jpg"))


def test_a_size_that_all_boxes_have_is_left_out(raw_table) -> None:
    names = fill(raw_table, 24)
    rows = [(name, "ab"[i % 2], i, 2, i + 8, 10) for i, name in enumerate(names)]
    raw_table.csv(("image", "kind", "xmin", "ymin", "xmax", "ymax"), rows)
    builder = TableBuilder(raw_table.root)
    assert [item.name for item in builder.schema().properties] == ["kind", "center"]
    assert objects(builder, names[0]) == [{"kind": "a", "center": pytest.approx((0.1, 0.2))}]


def test_a_number_of_each_word_is_left_out(raw_table, inferred) -> None:
    names = fill(raw_table)
    rows = [(name, 3 + i % 3, "abc"[i % 3], i % 2) for i, name in enumerate(names)]
    raw_table.csv(("image", "class_id", "class_name", "solid"), rows)
    assert list(inferred().schema.properties) == ["class_name", "solid"]
    assert "class_id" in inferred(categorical="class_id").schema.properties


def test_a_column_that_is_left_out_has_no_role(raw_table, inferred) -> None:
    names = fill(raw_table)
    for name in names:
        raw_table.mask(f"masks/{name}", np.ones((30, 40), np.uint8))
    rows = [(n, f"masks/{n}", ("train", "test")[i % 2], "ab"[i % 2]) for i, n in enumerate(names)]
    raw_table.csv(("image", "mask", "split", "kind"), rows)
    assert inferred().schema.mask is not None
    result = inferred(leave_out="mask, split")
    assert (result.schema.mask, result.schema.split.by) == (None, "random")


def test_a_vector_does_not_take_the_name_of_a_column(raw_table, inferred) -> None:
    names = fill(raw_table)
    rows = [(name, i, i / 2, ("left", "right")[i % 2]) for i, name in enumerate(names)]
    raw_table.csv(("image", "x", "y", "position"), rows)
    assert list(inferred().schema.properties) == ["x_y", "position"]
