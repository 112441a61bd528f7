"""The main job from Python, as the README shows it, and what importing the toolkit costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[1] / "README.md"


def python_block() -> str:
    """The README's Python example."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0])


def test_the_readme_s_example_is_the_whole_job_in_fifteen_lines() -> None:
    lines = [line for line in python_block().splitlines() if line.strip()]
    assert len(lines) <= 15
    for function in ("build_store", "train", "evaluate", "interpret", "load_run"):
        assert f"api.{function}(" in python_block()


@pytest.mark.slow
def test_the_readme_s_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(python_block(), str(README), "exec"), names)
    evaluation = json.loads(Path("runs/first/eval/test.json").read_text(encoding="utf-8"))
    recall = evaluation["retrieval"]["image_to_schema"]["R@1"]["value"]
    assert capsys.readouterr().out.split()[0] == f"{recall}"
    assert names["page"].read_text(encoding="utf-8").startswith("<!doctype html>")
    assert names["loaded"].store.path == Path("data/shapes")


def test_importing_the_toolkit_is_light() -> None:
    heavy = "{'torch', 'numpy', 'h5py', 'matplotlib', 'pydantic', 'rich'}"
    code = (
        f"import sys, nsi_cli; from nsi_cli import api; print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented() -> None:
    from nsi_cli import api

    for name in api.__all__:
        value = getattr(api, name)
        assert name == "METRIC_NAMES" or value.__doc__
