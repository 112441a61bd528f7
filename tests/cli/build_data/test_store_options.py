"""Differences from the run's store are reported; one's own images are cropped alike."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nsi_cli import api

Nsi = Callable[..., Any]


@pytest.fixture
def build(nsi: Nsi, raw: Path, tmp_path: Path) -> Callable[..., Path]:
    def run(name: str, *flags: object) -> Path:
        result = nsi("-q", "build-data", "clevrtex", "--raw", raw, "--image-size", 48,
                     "--workers", 0, "--out", tmp_path / name, *flags)  # fmt: skip
        assert result.code == 0, result
        return tmp_path / name

    return run


@pytest.fixture
def run_on(trained: Path, tmp_path: Path) -> Callable[[Path], Path]:
    """A copy of the trained run that says it was trained on a given store."""

    def copy(store: Path) -> Path:
        run = Path(shutil.copytree(trained, tmp_path / "run"))
        lines = (run / "config.yaml").read_text().splitlines()
        lines = [f"data: {store}" if line.startswith("data:") else line for line in lines]
        (run / "config.yaml").write_text("\n".join(lines))
        return run

    return copy


@pytest.mark.slow
def test_another_image_protocol_is_a_warning_and_other_options_a_note(
    build: Any, run_on: Any, nsi: Nsi
) -> None:
    run = run_on(build("trained-on"))
    other = build("other", "--protocol", "benchmark", "--split-by", "test")
    result = nsi("eval", run, "--data", other)
    assert result.code == 0, result
    note, warning = (line for line in result.stderr.splitlines() if " was built with " in line)
    assert warning.startswith(f"warning: {other} was built with --protocol benchmark")
    assert "the run's store with nsi" in warning
    assert note.startswith(f"note: {other} was built with --split-by test")
    assert " was built with " not in nsi("eval", run, "--data", build("same")).stderr
    assert " was built with " not in nsi("eval", run).stderr


@pytest.mark.slow
def test_a_store_that_was_replaced_is_noticed(build: Any, run_on: Any, nsi: Nsi) -> None:
    run = run_on(build("store"))
    warning = "is not the one that the run was trained on"
    assert warning not in nsi("eval", run).stderr
    build("store", "--protocol", "benchmark", "--force")
    for words in (("eval", run), ("train", "--resume", run, "--epochs", 4)):
        result = nsi(*words)
        assert result.code == 0, result
        assert warning in result.stderr


@pytest.mark.slow
def test_a_store_that_is_gone_cannot_be_compared(build: Any, run_on: Any, nsi: Nsi) -> None:
    run = run_on(Path("gone"))
    result = nsi("eval", run, "--data", build("here"))
    assert result.code == 0, result
    assert (
        "note: the store at gone, on which the run was trained, no longer exists" in result.stderr
    )
    result = nsi("eval", run)
    assert (result.code, "nsi build-data clevrtex --out gone" in result.stderr) == (1, True)


@pytest.mark.slow
def test_images_of_ones_own_are_cut_as_those_of_the_runs_store(
    build: Any, run_on: Any, nsi: Nsi, tmp_path: Path
) -> None:
    run = run_on(build("cropped", "--protocol", "benchmark"))
    loaded = api.load_run(run)
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "noise.png")
    side = loaded.run.config.image_size
    cropped = Image.fromarray(image[24:216, 64:256]).resize((side, side), Image.Resampling.BICUBIC)
    (own,) = loaded.own_images(tmp_path / "noise.png")
    np.testing.assert_array_equal(own.images[0], np.array(cropped))
    for name, size in (("frame.png", (320, 240)), ("square.png", (90, 90))):
        Image.new("RGB", size, "teal").save(tmp_path / name)
    result = nsi("interpret", run, "--image", tmp_path / "frame.png", "--image",
               tmp_path / "square.png", "--scenes", 1)  # fmt: skip
    assert result.code == 0, result
    warnings = [line for line in result.stderr.splitlines() if "square.png" in line]
    assert warnings == [
        "warning: square.png: 90 × 90 pixels, unlike the images of the task; it is used whole"
    ]
    assert "interpret: " in result.stderr
    assert "evaluate: " not in result.stderr


def test_the_parts_of_the_suite_are_listed(nsi: Nsi) -> None:
    from nsi_cli.evaluation import METRIC_NAMES

    said = " ".join(nsi("eval", "--help").stdout.replace("│", " ").split())
    assert ", ".join(METRIC_NAMES) in said
