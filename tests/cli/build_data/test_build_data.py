"""``nsi build-data``: limited, interrupted, killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Tree = Callable[[Path], dict[str, bytes]]

KILLS = int(os.environ.get("NSI_KILLS", "4"))


def _words(raw: Path, out: Path, *more: object) -> list[object]:
    return ["build-data", "clevrtex", "--raw", raw, "--out", out, "--image-size", 48, *more]


@pytest.mark.slow
def test_a_limit_builds_the_first_scenes_of_each_split(nsi: Any, raw: Path, tmp_path: Path) -> None:
    result = nsi(*_words(raw, tmp_path / "out", "--workers", 0, "--limit", 12, "--json"))
    build = json.loads(result.stdout)
    assert {name: item["scenes"] for name, item in build["splits"].items()} == {
        "train": 10, "val": 1, "test": 1,
    }  # fmt: skip
    assert build["options"]["limit"] == 12


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_leaves_nothing_and_says_how_to_start_again(
    start_nsi: Any, raw: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = start_nsi(*_words(raw, tmp_path / "out", "--workers", 1))
    deadline = time.monotonic() + 60
    while not (tmp_path / ".out.building").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("it was done before it was interrupted")
    assert process.returncode == 130, stderr
    assert stdout == ""
    *_, result, hint = stderr.splitlines()
    assert result == "nsi: interrupted"
    words = " ".join(map(str, _words(raw, tmp_path / "out", "--workers", 1)))
    assert hint == f"     start again with: nsi {words}"
    assert "Traceback" not in stderr
    assert list(tmp_path.iterdir()) == []


def _multiplied(raw: Path, target: Path, times: int) -> Path:
    """A raw folder with each scene of ``raw`` under ``times`` indices, as hard links."""
    source, folder = raw / "clevrtex_full" / "0", target / "clevrtex_full" / "0"
    folder.mkdir(parents=True)
    (target / "synthetic.json").write_bytes((raw / "synthetic.json").read_bytes())
    count = len(list(source.glob("*.json")))
    for path in source.iterdir():
        head, number, tail = path.name[:14], int(path.name[14:20]), path.name[20:]
        for time_ in range(times):
            (folder / f"{head}{number + time_ * count:06d}{tail}").hardlink_to(path)
    return target


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_random_moments_it_ends_in_the_same_store(
    raw: Path, run_nsi: Any, start_nsi: Any, tmp_path: Path, tree: Tree
) -> None:
    rng, began = random.Random(0), time.monotonic()
    assert run_nsi(*_words(raw, tmp_path / "short", "--workers", 2)).code == 0
    start = time.monotonic() - began  # what it takes to begin
    many, began = _multiplied(raw, tmp_path / "raw", 100), time.monotonic()
    assert run_nsi(*_words(many, tmp_path / "whole", "--workers", 2)).code == 0
    work = time.monotonic() - began - start
    kills = 0
    while kills < KILLS:
        process = start_nsi(*_words(many, tmp_path / "out", "--workers", 2, "--force"))
        try:
            process.wait(start / 2 + rng.uniform(0, work / 6))
            print("done early")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            print(f"kill {kills}: {_written(tmp_path):,} bytes of images were written")
    assert run_nsi(*_words(many, tmp_path / "out", "--workers", 2, "--force")).code == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["out", "raw", "short", "whole"]
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def _written(folder: Path) -> int:
    rows = folder / ".out.building" / "store" / "rows.h5"
    return rows.stat().st_blocks * 512 if rows.is_file() else 0
