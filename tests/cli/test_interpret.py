"""``nsi interpret``: what it refuses, and how often it loads the run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.mark.slow
def test_the_run_is_loaded_once_for_the_table_and_the_page(
    nsi: Any, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nsi_cli.interpretation import loading

    loads, load_run = [], loading.load_run
    monkeypatch.setattr(
        loading, "load_run", lambda *given, **more: loads.append(given) or load_run(*given, **more)
    )
    frames = [Image.fromarray(np.full((48, 48, 3), shade, np.uint8)) for shade in (90, 160)]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    result = nsi("interpret", trained, "--image", tmp_path / "moving.png", "--scenes", 1,
                 "--out", tmp_path)  # fmt: skip
    assert result.code == 0, result
    assert len(loads) == 1
    assert result.stdout.splitlines()[0] == "moving.png"
    notes = [line for line in result.stderr.splitlines() if line.startswith("note")]
    assert notes == ["note: moving.png has several frames; the first is used"]


@pytest.mark.parametrize("other", [["--image", "a.png"], ["--figures"]])
def test_a_query_goes_with_nothing_else(
    nsi: Any, one_line: Any, trained: Path, other: list[str]
) -> None:
    one_line(nsi("interpret", trained, "--query", "small", *other), 2, f"{other[0]} exclude")


def test_figures_need_an_evaluation_and_nothing_is_written_without_one(
    nsi: Any, one_line: Any, trained: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("eval"))
    result = nsi("interpret", run, "--figures", "--out", tmp_path / "page")
    one_line(result, 1, "no evaluation at", "run nsi eval")
    assert not (tmp_path / "page").exists()


def test_a_text_under_the_name_of_a_picture_is_one_line(
    nsi: Any, one_line: Any, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "drawing.png").write_text("<svg/>")
    one_line(nsi("interpret", trained, "--image", tmp_path / "drawing.png"), 1, "SVG or HTML")


def test_an_image_is_described_by_an_export_without_a_page(
    nsi: Any, trained: Path, tmp_path: Path
) -> None:
    exported = tmp_path / "model"
    assert nsi("export", trained, "--to", exported).code == 0
    Image.new("RGB", (320, 240), "teal").save(tmp_path / "frame.png")
    before = sorted(exported.iterdir())
    result = nsi("interpret", exported, "--image", tmp_path / "frame.png")
    assert result.code == 0, result
    assert "frame.png" in result.stdout
    assert "without a store there is no page" in result.stderr
    assert sorted(exported.iterdir()) == before
