"""``--check`` reads a store again, tells all its faults, and draws some of its scenes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Nsi = Callable[..., Any]


@pytest.fixture
def copy(store: Path, tmp_path: Path) -> Path:
    """A copy of the store, to be damaged."""
    return Path(shutil.copytree(store, tmp_path / "data"))


@pytest.mark.slow
def test_a_sound_store_is_ok_and_a_sheet_lies_beside_it(
    nsi: Nsi, copy: Path, tree: Any, tmp_path: Path
) -> None:
    before = tree(copy)
    answer = nsi("build-data", "clevrtex", "--check", copy)
    assert answer.code == 0, answer
    assert answer.stdout.count(" ok ") == 9
    assert f"contact sheet: {copy}-check.png" in answer.stderr
    with Image.open(f"{copy}-check.png") as sheet:
        assert sheet.width > 1500
        assert len(sheet.convert("RGB").getcolors(1 << 24) or []) > 1000
    assert tree(copy) == before
    assert nsi("-q", "build-data", "clevrtex", "--check", copy).stderr == ""


@pytest.mark.slow
def test_the_sheet_goes_where_it_is_wanted_and_is_drawn_by_the_seed(
    nsi: Nsi, copy: Path, tmp_path: Path
) -> None:
    sheets = [tmp_path / f"{name}.png" for name in ("one", "two", "other")]
    for sheet, seed in zip(sheets, (3, 3, 4), strict=True):
        nsi("build-data", "clevrtex", "--check", copy, "--out", sheet, "--seed", seed)
    one, two, other = (sheet.read_bytes() for sheet in sheets)
    assert one == two != other


def test_faults_are_listed_and_exit_1(nsi: Nsi, copy: Path) -> None:
    labels = np.load(copy / "train_labels.npy")
    labels[2, 0, 0] = 77
    np.save(copy / "train_labels.npy", labels)
    answer = nsi("build-data", "clevrtex", "--check", copy)
    assert answer.code == 1, answer
    assert "object 1 has size 77" in " ".join(answer.stdout.split())
    assert f"nsi: store {copy} has 2 faults" in answer.stderr
    answer = nsi("build-data", "clevrtex", "--check", copy, "--json")
    result = json.loads(answer.stdout)
    assert (answer.code, result["ok"]) == (1, False)
    faulty = {check["name"]: check["faults"] for check in result["checks"] if check["faults"]}
    assert faulty == {"files": 1, "labels": 1}


def test_flags_that_build_do_not_go_with_it(nsi: Nsi, copy: Path, one_line: Any) -> None:
    answer = nsi("build-data", "clevrtex", "--check", copy, "--raw", "x", "--variant", "camo")
    one_line(answer, 2, "--raw and --variant would be ignored")


@pytest.mark.slow
def test_the_store_of_another_task_is_named(nsi: Nsi, copy: Path, one_line: Any) -> None:
    build = json.loads((copy / "build.json").read_text())
    (copy / "build.json").write_text(json.dumps({**build, "task": "shapes"}))
    answer = nsi("build-data", "clevrtex", "--check", copy)
    one_line(answer, 2, "is of task 'shapes'", "nsi build-data shapes --check")


def test_no_store_is_one_line(nsi: Nsi, tmp_path: Path, one_line: Any) -> None:
    one_line(nsi("build-data", "clevrtex", "--check", tmp_path), 1, "no store at")
    assert list(tmp_path.iterdir()) == []
