"""``nsi build-data table``: the inferred schema is printed, edited and given back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

Nsi = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A raw folder of ten images, with a table of an object each."""
    raw = tmp_path / "raw"
    raw.mkdir()
    lines = ["image,kind,x,y,w,h"]
    for number in range(10):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(raw / f"{number}.png")
        lines.append(f"{number}.png,{'ab'[number % 2]},1,2,5,6")
    (raw / "objects.csv").write_text("\n".join(lines))
    return raw


def test_inference_prints_a_schema_file_and_writes_nothing(
    nsi: Nsi, folder: Path, tree: Callable[[Path], dict[str, bytes]]
) -> None:
    before = tree(folder.parent)
    result = nsi("build-data", "table", "--raw", folder, "--infer")
    assert result.code == 0
    assert tree(folder.parent) == before
    schema = yaml.safe_load(result.stdout)
    assert (schema["image"], schema["properties"]["kind"]["values"]) == ("image", ["a", "b"])
    assert result.stderr == ""


def test_inference_reads_the_raw_folder_of_the_store(
    nsi: Nsi, folder: Path, tmp_path: Path
) -> None:
    given = nsi("build-data", "table", "--raw", folder, "--infer").stdout
    folder.rename(tmp_path / "birds-raw")
    found = nsi("build-data", "table", "--out", tmp_path / "birds", "--infer")
    assert (found.code, found.stdout) == (0, given)


@pytest.mark.slow
def test_the_printed_schema_builds_the_same_store(nsi: Nsi, folder: Path, tmp_path: Path) -> None:
    words = ("build-data", "table", "--raw", folder, "--image-size", 16, "--workers", 0)
    path = tmp_path / "schema.yaml"
    path.write_text(nsi(*words, "--infer").stdout)
    first = nsi(*words, "--out", tmp_path / "inferred", "--json")
    second = nsi(*words, "--out", tmp_path / "given", "--schema", path, "--json")
    builds = [json.loads(result.stdout) for result in (first, second)]
    assert builds[0]["files"] == builds[1]["files"]
    assert builds[1]["options"]["schema"] == str(path)
    assert any(line.startswith("kind: property kind: ") for line in builds[0]["notes"])
    assert "x, y, w, h: box" in first.stderr


def test_a_task_with_a_fixed_schema_has_nothing_to_infer(
    nsi: Nsi, folder: Path, one_line: Callable[..., None]
) -> None:
    assert "--infer" in nsi("build-data", "table", "--help").stdout
    assert "--infer" not in nsi("build-data", "clevrtex", "--help").stdout
    result = nsi("build-data", "clevrtex", "--raw", folder, "--infer")
    one_line(result, 2, "task 'clevrtex' has a fixed schema")


def test_a_schema_file_and_answers_exclude_each_other(
    nsi: Nsi, folder: Path, one_line: Callable[..., None]
) -> None:
    words = (
        "build-data",
        "table",
        "--raw",
        folder,
        "--schema",
        "schema.yaml",
        "--leave-out",
        "kind",
    )
    one_line(nsi(*words), 2, "--leave-out: has no effect with --schema")
