"""Twelve tables that mislead a program: each is read as a person would, or a flag answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from nsi_table.builder import TableBuilder

from nsi_cli.plugins import DataError


def reasons(inference, use: str = "left out") -> dict[str, str]:
    return {", ".join(item.columns): item.reason for item in inference.decisions if item.use == use}


def warned(inference, *words: str) -> bool:
    return any(all(word in line for word in words) for line in inference.warnings)


def test_1_numbers_that_are_identifiers_are_left_out(raw_table, inferred) -> None:
    rows = []
    for index in range(60):
        image = f"{index // 4}.png"
        raw_table.image(image)
        rows.append((image, index // 4, 7000 + index, 100 + index % 8, f"{index:05d}", index % 3))
    raw_table.csv(("file", "image_id", "object", "track_id", "serial", "class_id"), rows)

    result = inferred()

    assert list(result.schema.properties) == ["class_id"]
    assert result.schema.properties["class_id"].values == ("0", "1", "2")
    assert reasons(result).keys() == {"image_id", "object", "track_id", "serial"}
    assert "a row number" in reasons(result)["object"]
    kept = inferred(categorical="track_id").schema.properties["track_id"]
    assert (kept.kind, len(kept.values)) == ("categorical", 8)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["yes", "no"], ("no", "yes")),
        (["TRUE", "FALSE"], ("FALSE", "TRUE")),
        (["0", "1"], ("0", "1")),
        (["1.0", "0.0"], ("0", "1")),
    ],
)
def test_2_booleans_are_two_categories(raw_table, inferred, cells, values) -> None:
    raw_table.column("solid", cells * 12)
    assert inferred().schema.properties["solid"].values == values


@pytest.mark.parametrize(
    "date", ["2024-03-{:02d}", "{}.3.2024", "3/{}/24", "2024-03-01 10:{:02d}:00"]
)
def test_3_dates_are_left_out(raw_table, inferred, date: str) -> None:
    raw_table.column("taken", [date.format(1 + index % 28) for index in range(40)])
    assert "dates" in reasons(inferred())["taken"]


def test_4_one_value_only_is_left_out(raw_table, inferred) -> None:
    raw_table.column("camera", ["front"] * 40)
    assert "the same value in all rows" in reasons(inferred())["camera"]
    assert "camera" in inferred(categorical="camera").schema.properties


@pytest.mark.slow
def test_5_ten_thousand_words_are_left_out_unless_asked_for(raw_table, inferred) -> None:
    raw_table.column("part", [f"part {index % 10_000}" for index in range(12_000)], per_image=400)
    result = inferred()
    assert "part" not in result.schema.properties
    assert warned(result, "10,000 different words", "--max-values 10000")
    assert len(inferred(max_values=10_000).schema.properties["part"].values) == 10_000


@pytest.mark.parametrize("blank", ["", "NaN", "nan", "NA", "n/a", "null"])
def test_6_missing_numbers_stay_missing(raw_table, inferred, blank: str) -> None:
    raw_table.column("weight", ["1.5", blank, "2.25", "0.5"] * 10)
    result = inferred()
    weight = result.schema.properties["weight"]
    assert (weight.kind, weight.low, weight.high) == ("continuous", (0.5,), (2.25,))
    builder = TableBuilder(raw_table.root)
    assert "missing values among 40 objects: weight 10 (stored as missing)" in builder.notes()
    scene = builder.load(builder.splits()["train"][0])
    assert np.isnan(scene.primitives[1, 1])
    assert scene.primitives[0].tolist()[1] == 1.5


def test_7_mixed_types_are_numbers_if_nearly_all_are(raw_table, inferred) -> None:
    raw_table.column("price", [f"{index + 0.5}" for index in range(38)] + ["sold", "n.d."])
    result = inferred()
    price = result.schema.properties["price"]
    assert (price.kind, price.missing) == ("continuous", ("n.d.", "sold"))
    assert warned(result, "price", "'sold'", "read as missing", "--categorical price")
    assert len(inferred(categorical="price").schema.properties["price"].values) == 40


def test_7_mixed_types_are_words_if_many_are_not_numbers(raw_table, inferred) -> None:
    raw_table.column("size", ["1", "2", "large", "small"] * 10)
    assert inferred().schema.properties["size"].values == ("1", "2", "large", "small")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "cp1252"])
def test_8_tables_of_spreadsheets_are_read_in_their_encoding(
    raw_table, inferred, encoding: str
) -> None:
    raw_table.image("a.png")
    rows = [("a.png", colour) for colour in ("grün", "rot") * 5]
    raw_table.csv(("Bild", "Farbe"), rows, encoding=encoding, delimiter="\t")
    assert inferred().schema.properties["Farbe"].values == ("grün", "rot")


def test_9_semicolons_and_decimal_commas_are_numbers(raw_table, inferred) -> None:
    raw_table.image("a.png")
    rows = [("a.png", f"{index},{index}", "a, b"[: 1 + index % 4]) for index in range(20)]
    raw_table.csv(("image", "weight", "note"), rows, delimiter=";")
    result = inferred()
    assert result.schema.properties["weight"].high == (19.19,)
    assert result.schema.image == "image"


def test_10_duplicate_rows_are_one_object_if_a_column_tells_objects_apart(raw_table) -> None:
    raw_table.image("a.png")
    rows = [("a.png", "cube", 1, 2, 10, 10), ("a.png", "ball", 5, 5, 10, 10)]
    raw_table.csv(("image", "shape", "x", "y", "w", "h"), [*rows, *rows[:1]] * 2)
    builder = TableBuilder(raw_table.root, split_by="random")
    assert builder.schema().max_objects == 2
    assert any("equal to another one: 4, left out" in line for line in builder.notes())
    assert TableBuilder(raw_table.root, duplicates="keep").schema().max_objects == 6


def test_10_duplicate_rows_are_kept_if_two_objects_can_be_equal(raw_table) -> None:
    raw_table.image("a.png")
    raw_table.csv(("image", "shape"), [("a.png", "cube"), ("a.png", "cube"), ("a.png", "ball")])
    builder = TableBuilder(raw_table.root)
    assert builder.schema().max_objects == 3
    assert any(
        "another one: 1, kept" in line and "--duplicates drop" in line for line in builder.notes()
    )
    assert TableBuilder(raw_table.root, duplicates="drop").schema().max_objects == 2


@pytest.mark.parametrize(
    "written",
    ["/home/someone/set/{}/{}.png", "C:\\data\\{}\\{}.png", "{}/{}.png", "./{}/{}.png", "{}/{}"],
)
def test_11_paths_of_another_machine_are_found_and_missing_ones_are_said(
    raw_table, written: str
) -> None:
    for folder in ("left", "right"):
        for number in range(5):
            raw_table.image(f"pictures/{folder}/{number}.png")
    rows = [
        (written.format(folder, number), shape)
        for folder in ("left", "right")
        for number in range(6)
        for shape in ("cube", "ball")
    ]
    raw_table.csv(("path", "shape"), rows)
    builder = TableBuilder(raw_table.root)
    sources = [source for part in builder.splits().values() for source in part]
    assert len(sources) == 12
    found = [source for source in sources if source.id.startswith("pictures/")]
    assert len({source.image for source in found}) == 10
    assert all(builder.load(source).pixels.shape == (30, 40, 3) for source in found)
    assert any("images that are not in" in line and "2 of 12" in line for line in builder.notes())
    (missing, _) = [source for source in sources if source not in found]
    with pytest.raises(DataError, match="is missing"):
        builder.load(missing)


def test_11_absolute_paths_are_used_as_they_are(raw_table, tmp_path) -> None:
    paths = [raw_table.image(f"{number}.png") for number in range(4)]
    elsewhere = tmp_path / "table.csv"
    raw_table.csv(("image", "shape"), [(path, "ab"[index % 2]) for index, path in enumerate(paths)])
    (raw_table.root / "objects.csv").rename(elsewhere)
    builder = TableBuilder(raw_table.root, annotations=elsewhere)
    ids = {source.id for part in builder.splits().values() for source in part}
    assert ids == {"0.png", "1.png", "2.png", "3.png"}


def test_12_reserved_words_are_names_like_any_other(raw_table, tmp_path) -> None:
    raw_table.image("a.png")
    header = ("image", "class", "null", "yes", "max_objects", "size", "center", "x", "y", "w", "h")
    rows = [
        ("a.png", "None", "on", "no", index / 7, "big", "left", index, 2, 3, 4)
        for index in range(6)
    ]
    rows += [("a.png", "none", "off", "true", 0, "small", "right", 9, 2, 3, 4)]
    raw_table.csv(header, rows)
    builder = TableBuilder(raw_table.root)
    schema = builder.schema()
    assert [item.name for item in schema.properties] == [
        "class", "null", "yes", "max_objects", "size", "center", "box_center", "box_size",
    ]  # fmt: skip
    assert schema["class"].values == ("None", "none")
    edited = tmp_path / "schema.yaml"
    edited.write_text(builder.infer())
    assert TableBuilder(raw_table.root, schema_=edited).schema() == schema


def test_nan_is_not_a_bound(raw_table, inferred) -> None:
    raw_table.column("weight", ["nan", "inf", "2.5", "1.5"] * 10)
    weight = inferred().schema.properties["weight"]
    assert weight.kind == "categorical" or all(map(math.isfinite, weight.low + weight.high))
