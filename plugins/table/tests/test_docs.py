"""The example of docs/own-data.md is true."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from nsi_table.builder import TableBuilder

PAGE = (Path(__file__).parents[3] / "docs" / "own-data.md").read_text(encoding="utf-8")


def block(first: str) -> str:
    """The block of the page that begins with a text."""
    (found,) = [
        text for text in re.findall(r"```\w*\n(.*?)```", PAGE, re.DOTALL) if text.startswith(first)
    ]
    return found


def test_the_table_of_the_page_is_read_as_the_page_says(raw_table) -> None:
    for name in ("images/0001.jpg", "images/0002.jpg", "images/0003.jpg"):
        raw_table.image(name, (640, 480))
    (raw_table.root / "objects.csv").write_text(block("image,species,"))
    builder = TableBuilder(raw_table.root)
    inference = builder._inference
    assert inference.lines() == block("image: image: ").splitlines()
    assert {name: len(part) for name, part in builder.splits().items()} == {
        "train": 1, "val": 1, "test": 1,
    }  # fmt: skip


def test_the_schema_file_of_the_page_reads_the_table_of_the_page(raw_table, tmp_path) -> None:
    for name in ("images/0001.jpg", "images/0002.jpg", "images/0003.jpg"):
        raw_table.image(name, (640, 480))
    (raw_table.root / "objects.csv").write_text(block("image,species,"))
    path = tmp_path / "schema.yaml"
    path.write_text(block("image: image\n"))
    builder = TableBuilder(raw_table.root, schema_=path)
    assert builder.schema() == TableBuilder(raw_table.root).schema()
    assert len(builder.splits()["train"]) == 1
    assert yaml.safe_load(path.read_text())["properties"]["beak_mm"]["missing"] == ["-1"]
