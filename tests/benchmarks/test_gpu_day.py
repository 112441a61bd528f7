"""One part of `benchmarks/gpu_day.py` can fail without the others, and never as a number."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROW = {"case": "float32", "rows": {"": {"gradient error": 1e-6, "within": True}}}


@pytest.fixture
def gpu_day(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_day

    return gpu_day


def outcome(
    gpu_day: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, limit: float
) -> Any:
    """The outcome of a part of two cases whose process runs ``code``."""
    script = folder / "part.py"
    script.write_text(f"import sys, time\nprint('''{json.dumps(ROW)}''', flush=True)\n{code}\n")
    monkeypatch.setattr(gpu_day, "SCRIPT", script)
    part = gpu_day.Part("correctness", "Against the CPU", ("float32", "bf16-mixed"), 60)
    asked = argparse.Namespace(out=folder, device="cpu", batch_size=4, tiny=True, minutes=10)
    return gpu_day.outcome_of(part, *gpu_day.run_part(part, asked, limit))


@pytest.mark.slow
def test_a_part_that_is_stopped_keeps_what_it_measured(
    gpu_day: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "print('half a li', end='', flush=True)\ntime.sleep(600)"
    found = outcome(gpu_day, tmp_path, monkeypatch, code, limit=5)
    assert found.rows == {"float32": ROW["rows"][""]}
    assert found.failed == {"bf16-mixed": "stopped after 5 s"}
    assert found.wrong()


def test_a_part_that_crashes_is_failed_with_its_last_line(
    gpu_day: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "sys.exit('no CUDA device')"
    found = outcome(gpu_day, tmp_path, monkeypatch, code, limit=60)
    assert found.failed == {"bf16-mixed": "no CUDA device"}
    table = gpu_day.markdown("title", [found])
    assert "| float32 | 1e-06 | yes |" in table
    assert "- bf16-mixed: failed: no CUDA device" in table


def test_a_gradient_over_its_limit_is_wrong(gpu_day: ModuleType) -> None:
    assert gpu_day.Outcome("", {"float32": {"within": False}}).wrong()
    assert not gpu_day.Outcome("", {"float32": {"within": True}, "ours": {"ms": 1.0}}).wrong()


def test_the_published_training_is_projected_from_what_was_measured(gpu_day: ModuleType) -> None:
    step = {"cached": {"ms": 100.0, "images/s": 1280.0}, "cached: decoder": {"ms": 80.0}}
    measured = {
        "step": gpu_day.Outcome("", step),
        "cache": gpu_day.Outcome("", {"filling": {"images/s": 400.0}}),
    }
    rows = gpu_day.projection(measured, 128).rows
    assert rows.keys() == {"cached"}
    assert rows["cached"]["steps"] == 300 * 292
    assert rows["cached"]["hours"] == pytest.approx(8760 / 3600)
    assert rows["cached"]["hours to fill the cache"] == pytest.approx(100 / 3600)
    unknown = {**measured, "cache": gpu_day.Outcome("")}
    assert not gpu_day.projection(unknown, 128).rows
    assert gpu_day.projection({**measured, "step": gpu_day.Outcome("")}, 128).wrong()


@pytest.mark.slow
@pytest.mark.timeout(7000)
def test_a_dry_run_measures_every_part_on_a_cpu(gpu_day: ModuleType, tmp_path: Path) -> None:
    """Without the compiler, which `tests/models/test_compile.py` runs."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu_day.py"), "--device", "cpu", "--tiny",
         "--minutes", "100", "--out", str(tmp_path)],
        env={**os.environ, "TORCHDYNAMO_DISABLE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    parts = json.loads((tmp_path / "gpu_day.json").read_text())["parts"]
    assert parts.keys() == {*(part.name for part in gpu_day.PARTS), "projection"}
    assert all(part["rows"] and not part["failed"] for part in parts.values())
    assert (tmp_path / "gpu_day.md").read_text() == done.stdout
