"""A plugin for a table or for COCO annotations works without changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from nsi_cli import api
from nsi_cli.plugins.scaffold_table import _PROGRAM_LEN, _SLOTS
from nsi_cli.support.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]


def write_images(folder: Path, count: int = 12) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:02d}.png" for number in range(count)]
    for number, name in enumerate(names):
        Image.new("RGB", (40, 20), (number, 0, 0)).save(folder / name)
    return names


def write_csv(raw: Path) -> Path:
    """Write a table whose column names are not Python names."""
    rows = [
        f"pictures/{name},{index},“{'ab'[index % 2]}”,{index / 7},1,2,9,9"
        for index, name in enumerate(write_images(raw / "pictures"))
    ]
    path = raw / "my objects.csv"
    path.write_text("\n".join(["Bild,id,the kind,größe (cm),x,y,w,h", *rows]), encoding="utf-8")
    return path


def write_coco(raw: Path) -> Path:
    names = write_images(raw / "images")
    square = [[1, 2, 10, 2, 10, 11, 1, 11]]
    data = {
        "images": [{"id": name, "file_name": name, "width": 40, "height": 20} for name in names],
        "categories": [{"id": 1, "name": 'it\'s a "box"'}, {"id": 2, "name": "ball"}],
        "annotations": [
            {"image_id": name, "category_id": 1 + index % 2, "segmentation": square}
            for index, name in enumerate(names)
        ],
    }
    path = raw / "annotations" / "instances_default.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(data))
    return path


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module", params=["csv", "coco"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin that was rendered from a table, and one from COCO annotations."""
    into = tmp_path_factory.mktemp("scaffold")
    write: Callable[[Path], Path] = {"csv": write_csv, "coco": write_coco}[request.param]
    source: Any = {f"from_{request.param}": write(into / "raw")}
    api.new_task("my-data", into, **source)
    return into / "my-data"


@pytest.mark.slow
def test_its_own_tests_pass(project: Path) -> None:
    result = run("pytest", "-q", "-p", "no:cacheprovider", cwd=project)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout


def test_its_code_passes_the_linter(project: Path) -> None:
    pytest.importorskip("ruff")
    for command in (("check",), ("format", "--check")):
        result = run("ruff", *command, "--no-cache", ".", cwd=project)
        assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_it_passes_strict_type_checks(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("mypy")
    cache = tmp_path_factory.getbasetemp() / "mypy"  # shared by all rendered plugins
    result = run("mypy", "--cache-dir", cache, cwd=project)
    assert result.returncode == 0, result.stdout


def test_it_has_the_inferred_schema_and_a_sample_of_scenes(tmp_path: Path) -> None:
    files = api.new_task("my-data", tmp_path, from_csv=write_csv(tmp_path / "raw"))
    names = [path.relative_to(tmp_path / "my-data").as_posix() for path in files]
    assert len([name for name in names if name.startswith("tests/raw/pictures/")]) == 6
    schema = yaml.safe_load((tmp_path / "my-data" / "nsi_my_data" / "schema.yaml").read_text())
    assert list(schema["properties"]) == ["the kind", "größe (cm)"]
    rows = (tmp_path / "my-data" / "tests" / "raw" / "my objects.csv").read_text().splitlines()
    assert len(rows) == 7
    assert rows[1].startswith("pictures/")


@pytest.mark.parametrize(
    ("objects", "flags"),
    [
        (10, ""),
        (11, " --max-program-len 11"),
        (22, " --max-program-len 22 --num-slots 23"),
    ],
)
def test_its_readme_has_the_flags_that_the_data_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objects: int, flags: str
) -> None:
    config = api.train_config(task="my-data", preset="demo")
    assert (config.max_program_len, config.num_slots, config.image_size) == (10, 22, 128)
    write_images(tmp_path / "my raw", 6)
    rows = [f"{image:02}.png,{'ab'[n % 2]},{n / 7}" for image in range(6) for n in range(objects)]
    table = tmp_path / "my raw" / "objects.csv"
    table.write_text("\n".join(["image,kind,n", *rows]))
    (tmp_path / "plugins").mkdir()
    monkeypatch.chdir(tmp_path)
    api.new_task("my-data", "plugins", from_csv="my raw/objects.csv")
    lines = (tmp_path / "plugins" / "my-data" / "README.md").read_text().splitlines()
    command = "nsi --plugin-dir my-data build-data my-data --raw '../my raw' --image-size 128"
    assert {command, f"{command} --force"} <= set(lines)
    assert f"nsi --plugin-dir my-data train --task my-data --preset demo{flags}" in lines


def test_images_elsewhere_are_named_by_raw(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "raw").rename(tmp_path / "my objects.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no image of my objects\.csv is in") as caught:
        api.new_task("my-data", tmp_path, from_csv=table, raw=tmp_path / "empty")
    assert "--raw" in caught.value.hint
    assert not (tmp_path / "my-data").exists()
    assert api.new_task("my-data", tmp_path, from_csv=table, raw=tmp_path / "raw")


def test_only_one_source_can_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        api.new_task("my-data", tmp_path, from_csv="a.csv", from_coco="a.json")
    with pytest.raises(ConfigError, match="no effect without"):
        api.new_task("my-data", tmp_path, raw=tmp_path)


def test_the_training_command_assumes_the_sizes_of_the_preset_that_it_names() -> None:
    preset = api.train_config("demo", task="clevrtex", data="")
    assert (preset.max_program_len, preset.num_slots) == (_PROGRAM_LEN, _SLOTS)
