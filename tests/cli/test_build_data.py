"""``nsi build-data``: in parts, interrupted, killed."""

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


def test_shards_say_what_lacks_and_then_how_to_join_them(
    nsi: Any, raw: Path, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("my data")
    assert nsi(*_words(raw, Path("whole"), "--workers", 0)).code == 0
    first = nsi(*_words(raw, out, "--workers", 0, "--shard", "2/2", "--json"))
    assert json.loads(first.stdout)["shard"]["index"] == 2
    assert "still to build: 1-of-2" in first.stderr
    last = nsi(*_words(raw, out, "--workers", 0, "--shard", "1/2"))
    assert "join them with: nsi build-data --merge 'my data'" in last.stderr
    again = nsi(*_words(raw, out, "--workers", 0, "--shard", "1/2"))
    assert (again.code, again.stderr.splitlines()[0]) == (
        1, "nsi: there is a store at my data.shards/1-of-2 already",
    )  # fmt: skip
    merged = nsi("build-data", "--merge", out, "--json")
    assert json.loads(merged.stdout) == json.loads(Path("whole/build.json").read_text())
    assert tree(out) == tree(Path("whole"))
    assert not Path("my data.shards").exists()


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "-1/2", "1/2/3", ""])
def test_a_shard_that_is_none_is_told(nsi: Any, one_line: Any, raw: Path, text: str) -> None:
    told = nsi(*_words(raw, Path("never"), "--shard", text))
    one_line(told, 2, "is no part of a whole", "--shard 2/8")


def test_merging_names_no_task(nsi: Any, one_line: Any, tmp_path: Path, raw: Path) -> None:
    out = tmp_path / "out"
    one_line(nsi("build-data", "--merge", out), 1, "there are no shards of")
    one_line(nsi("build-data", "--merge", out, *_words(raw, out)[1:]), 2, "with no task")
    one_line(nsi("build-data", "--keep-shards"), 2, "no task is named")


def test_a_limit_builds_the_first_scenes_of_each_split(nsi: Any, raw: Path, tmp_path: Path) -> None:
    told = nsi(*_words(raw, tmp_path / "out", "--workers", 0, "--limit", 12, "--json"))
    build = json.loads(told.stdout)
    assert {name: item["scenes"] for name, item in build["splits"].items()} == {
        "train": 10, "val": 1, "test": 1,
    }  # fmt: skip
    assert build["options"]["limit"] == 12


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_how_to_go_on(
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
    *_, told, hint = stderr.splitlines()
    assert told == "nsi: interrupted"
    words = " ".join(map(str, _words(raw, tmp_path / "out", "--workers", 1)))
    assert hint == f"     go on with: nsi {words}"
    assert "Traceback" not in stderr


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
            print(f"kill {kills}: {_down(tmp_path)} of 6000 scenes down")
    assert run_nsi(*_words(many, tmp_path / "out", "--workers", 2, "--force")).code == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["out", "raw", "short", "whole"]
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def _down(folder: Path) -> int:
    journal = folder / ".out.building" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True) if journal.is_file() else []
    return sum(len(json.loads(line)["numbers"]) for line in lines if line.endswith("\n"))
