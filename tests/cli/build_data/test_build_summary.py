"""After a build its store is described: on the terminal, as JSON and as a figure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nsi_cli.cli.build_summary import _dropped

Nsi = Callable[..., Any]


def build(nsi: Nsi, raw: Path, out: Path, *flags: object) -> Any:
    return nsi("build-data", "clevrtex", "--raw", raw, "--out", out, "--image-size", 16,
               "--workers", 0, *flags)  # fmt: skip


@pytest.mark.slow
def test_tables_fit_on_80_columns_and_nothing_is_broken(
    nsi: Nsi, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = build(nsi, raw, tmp_path / "data")
    assert result.code == 0, result
    lines = result.stdout.splitlines()
    assert lines[:2] == [str(tmp_path / "data"), "clevrtex, images of 16 × 16"]
    assert max(len(line) for line in lines[1:-1]) <= 80
    words = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert words["train"][1] == "51"
    assert float(words["cylinder"][2]) > 0
    assert "█" in result.stdout
    assert len(words["position[0]"]) == 6
    assert lines[-1] == f"figure: {tmp_path / 'data' / 'summary.png'}"


@pytest.mark.slow
def test_the_summary_is_in_the_store_but_no_recorded_part_of_it(
    nsi: Nsi, raw: Path, tmp_path: Path
) -> None:
    out = tmp_path / "data"
    recorded = json.loads(build(nsi, raw, out, "--json").stdout)["files"]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["splits"]["train"]["scenes"] == 51
    assert (out / "summary.png").read_bytes().startswith(b"\x89PNG")
    assert not {"summary.json", "summary.png"} & set(recorded)
    result = nsi("build-data", "clevrtex", "--check", out, "--json")
    assert {check["status"] for check in json.loads(result.stdout)["checks"]} == {"ok"}


@pytest.mark.slow
def test_objects_and_scenes_that_are_left_out_are_explained(
    nsi: Nsi, raw: Path, tmp_path: Path
) -> None:
    result = build(nsi, raw, tmp_path / "data", "--protocol", "benchmark")
    assert re.search(
        r"dropped: \d+ objects? (has|have) no pixel after the crop or the resize", result.stdout
    )
    broken = tmp_path / "raw" / "clevrtex_full" / "0"
    broken.mkdir(parents=True)
    for file in (raw / "clevrtex_full" / "0").glob("CLEVRTEX_full_00000*"):
        content = b"{" if file.name in ("CLEVRTEX_full_000003.json", "CLEVRTEX_full_000005.json") \
            else file.read_bytes()  # fmt: skip
        (broken / file.name).write_bytes(content)
    path = broken / "CLEVRTEX_full_000000_flat.png"
    mask = np.array(Image.open(path))
    mask[mask == 1] = 0
    Image.fromarray(mask).save(path)
    result = build(nsi, tmp_path / "raw", tmp_path / "few", "--max-skipped", 0.5,
                 "--split-by", "benchmark")  # fmt: skip
    assert "dropped: 1 object has no pixel in the dataset's own mask" in result.stdout
    named = "CLEVRTEX_full_000007, CLEVRTEX_full_000000"
    assert f"scenes with dropped objects: {named}\n" in result.stdout
    assert "--split-by benchmark: 10 scenes of full, by index: test 0–0 (1)" in result.stderr
    assert "skipped: 2 × its JSON is damaged" in result.stdout
    assert "(CLEVRTEX_full_000003)" in result.stdout


@pytest.mark.parametrize(
    ("masks", "hidden", "line"),
    [
        (False, 0, "1 object has no part in the image: the box is outside it, or has no width"),
        (True, 0, "1 object has no pixel after the crop or the resize"),
        (True, 1, "1 object has no pixel in the dataset's own mask"),
    ],
)
def test_the_reason_for_a_dropped_object_fits_the_store(
    masks: bool, hidden: int, line: str
) -> None:
    entry = {"dropped_objects": 1, "hidden_objects": hidden, "dropped_in": ["a/1.jpg"]}
    build = {"masks": masks, "splits": {"train": entry}}
    first, second, _ = _dropped({"splits": build["splits"]}, build)
    assert first.startswith(f"dropped: {line}")
    assert second == "scenes with dropped objects: a/1.jpg"


@pytest.mark.slow
def test_a_store_without_val_and_test_is_warned_of(nsi: Nsi, raw: Path, tmp_path: Path) -> None:
    assert "warning" not in build(nsi, raw, tmp_path / "data").stderr
    result = build(nsi, raw, tmp_path / "nsi", "--split-by", "nsi")  # indices below 60: all train
    for split in ("val", "test"):
        assert f"warning: the store has no split '{split}'" in result.stderr
    assert "warning" not in build(nsi, raw, tmp_path / "test", "--split-by", "test").stderr
