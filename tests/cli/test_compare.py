"""``nsi eval`` with several runs: one table, as text, JSON, CSV and LaTeX."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

Nsi = Callable[..., Any]
OneLine = Callable[..., None]


@pytest.fixture
def runs(nsi: Nsi, tiny_flags: list[str], trained: Path, tmp_path: Path) -> list[Path]:
    """Two seeds of one setting, and another setting."""
    made = [trained]
    for name, flags in (("b", ["--seed", 7]), ("c", ["--alignment", "hungarian"])):
        result = nsi("-q", "train", *tiny_flags, "--epochs", 1, *flags, "--out", tmp_path / name)
        assert result.code == 0, result
        made.append(tmp_path / name)
    return made


@pytest.mark.slow
def test_several_runs_are_one_table(nsi: Nsi, runs: list[Path]) -> None:
    result = nsi("-q", "eval", *runs, "--json", "--metric", "retrieval", "--metric", "grounding")
    assert result.code == 0, result
    comparison = json.loads(result.stdout)
    config_differs = [group["name"] for group in comparison["groups"]]
    assert len(config_differs) == len(set(config_differs)) >= 2
    recall = comparison["metrics"]["image → schema, R@1"]
    for group, part in zip(comparison["groups"], recall, strict=True):
        alone = [
            json.loads(nsi("-q", "eval", run, "--json", "--metric", "retrieval").stdout)
            for run in group["runs"]
        ]
        expected = [one["retrieval"]["image_to_schema"]["R@1"]["value"] for one in alone]
        assert part["values"] == pytest.approx(expected)

    table = nsi("-q", "eval", *runs, "--metric", "grounding")
    assert table.code == 0
    assert "pointing" in table.stdout
    assert "hungarian" in table.stdout

    rows = list(csv.reader(StringIO(nsi("-q", "eval", *runs, "--csv").stdout)))
    assert rows[0][0] == "metric"
    assert {len(row) for row in rows} == {len(rows[0])}
    assert len(rows) > 10

    latex = nsi("-q", "eval", *runs, "--latex", "--metric", "retrieval").stdout.splitlines()
    assert latex[0].startswith(r"\begin{tabular}{lrr")
    assert latex[-1] == r"\end{tabular}"
    body = [line for line in latex if line.endswith(r"\\")]
    assert {line.count(" & ") for line in body} == {len(rows[0]) - 1}
    assert any(r"$\to$" in line for line in body)


def test_two_formats_at_once_are_refused(nsi: Nsi, one_line: OneLine, trained: Path) -> None:
    one_line(nsi("-q", "eval", trained, "--csv", "--latex"), 2, "exclude each other")


@pytest.mark.slow
def test_runs_on_different_stores_are_refused(
    nsi: Nsi, one_line: OneLine, trained: Path, raw: Path, tmp_path: Path
) -> None:
    other = tmp_path / "store"
    result = nsi("-q", "build-data", "clevrtex", "--raw", raw, "--out", other, "--image-size", 48,
                 "--protocol", "benchmark")  # fmt: skip
    assert result.code == 0, result
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    config = (run / "config.yaml").read_text().splitlines()
    lines = [f"data: {other}" if line.startswith("data:") else line for line in config]
    (run / "config.yaml").write_text("\n".join(lines) + "\n")
    one_line(nsi("-q", "eval", trained, run), 2, "another store", "--data DIR")
    assert nsi("-q", "eval", trained, run, "--data", other, "--metric", "retrieval").code == 0
