"""The main job from Python, as the README shows it, and what importing the toolkit costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

README = Path(__file__).parents[1] / "README.md"


def python_blocks() -> tuple[str, str]:
    """The README's Python examples: the whole job, and grounding."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    whole, grounding = blocks
    return str(whole), str(grounding)


def test_the_readme_s_example_is_the_whole_job_in_fifteen_lines() -> None:
    whole, grounding = python_blocks()
    assert len([line for line in whole.splitlines() if line.strip()]) <= 15
    assert len([line for line in grounding.splitlines() if line.strip()]) <= 5
    for function in ("build_store", "train", "evaluate", "interpret", "load_run"):
        assert f"api.{function}(" in whole


@pytest.mark.slow
def test_the_readme_s_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    whole, grounding = python_blocks()
    exec(compile(whole, str(README), "exec"), names)
    evaluation = json.loads(Path("runs/first/eval/test.json").read_text(encoding="utf-8"))
    recall = evaluation["retrieval"]["image_to_schema"]["R@1"]["value"]
    assert capsys.readouterr().out.split()[0] == f"{recall}"
    assert names["page"].read_text(encoding="utf-8").startswith("<!doctype html>")
    assert names["loaded"].store.path == Path("data/shapes")
    Image.fromarray(names["store"].images("test", [0])[0]).save("picture.png")
    exec(compile(grounding, str(README), "exec"), names)
    assert names["run"].ground(["picture.png"], ["sphere"])[0].groundings[0].query == "sphere"


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
