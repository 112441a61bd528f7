"""The study of `--decode-tokens` trains and compares every variant."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "decode_tokens.py"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_study_compares_samples_of_tokens_with_all(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--out", str(tmp_path / "study")],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    variants = json.loads((tmp_path / "study" / "decode_tokens.json").read_text())["variants"]
    assert [one["decode_tokens"] for one in variants] == [0, 32, 16, 8, 32, 16, 8]
    for one in variants:
        assert {"image → schema, R@1", "pointing", "reconstruction"} <= one["metrics"].keys()
        means = [part["mean"] for part in (*one["metrics"].values(), *one["differences"].values())]
        assert all(map(math.isfinite, means))
        assert f"| {one['name']} | " in done.stdout
    assert {one["steps"] for one in variants[:4]} == {variants[0]["steps"]}
    for one in variants[4:]:
        ratio = variants[0]["seconds"] / one["seconds"]
        assert one["epochs"] == max(1, round(variants[0]["epochs"] * ratio))
    assert not any(part["mean"] for part in variants[0]["differences"].values())
