"""The notebook runs from top to bottom, shows figures, and is kept without output."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "interpret_slots_clevrtex.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def shown_by(code: str, names: dict[str, Any]) -> Any:
    """Run a cell; returns the value of its last line, which a notebook shows."""
    body = ast.parse(code).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), str(NOTEBOOK), "exec"), names)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)


def test_the_notebook_is_kept_without_output() -> None:
    for cell in CELLS:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_the_notebook_keeps_the_four_promises_of_the_published_one() -> None:
    headings = [
        line.strip()
        for cell in CELLS
        if cell["cell_type"] == "markdown"
        for line in cell["source"]
        if line.startswith("## ")
    ]
    assert headings == [
        "## Retrieve the top-k images for specific slots",
        "## How slots correspond to attributes",
        "## Slots against properties",
        "## What each slot encodes",
    ]


@pytest.mark.slow
def test_the_notebook_runs(evaluated: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("NSI_RUN", str(evaluated))
    names: dict[str, Any] = {}
    shown = [shown_by(code, names) for code in CODE]
    figures = [one._repr_png_() for one in shown if one is not None]
    assert len(figures) == len(CODE) - 1  # the last cell prints
    assert all(figure.startswith(b"\x89PNG") for figure in figures)
    assert capsys.readouterr().out.count("familiarity") == names["run"].run.config.num_slots


def test_the_notebook_finds_the_demo_from_its_own_folder(
    evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "run").symlink_to(evaluated)
    monkeypatch.delenv("NSI_RUN", raising=False)
    monkeypatch.chdir(tmp_path / "notebooks")
    names: dict[str, Any] = {}
    shown_by(CODE[0], names)
    assert names["run"].run.path == Path("demo/run")
