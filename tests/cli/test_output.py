"""stdout carries results and nothing else; everything else goes to stderr, or is silenced."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Nsi = Callable[..., Any]
ESCAPE = "\x1b"


def test_tasks_as_json_are_one_list(nsi: Nsi) -> None:
    result = nsi("tasks", "--json")
    (row,) = [row for row in json.loads(result.stdout) if row["name"] == "clevrtex"]
    assert list(row) == ["name", "summary", "source", "version", "path", "status", "reason"]
    assert (row["status"], row["reason"]) == ("ok", "")
    assert result.stderr == ""


def test_tasks_for_a_person(nsi: Nsi) -> None:
    result = nsi("tasks")
    assert re.search(r"clevrtex +ok +CLEVRTex", result.stdout)
    rows = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert len({line.index(" ok ") for line in rows if " ok " in line}) == 1
    assert result.stderr == ""


@pytest.mark.slow
def test_build_data_as_json_is_what_is_on_disk(nsi: Nsi, raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    result = nsi("build-data", "clevrtex", "--raw", raw, "--out", out, "--image-size", 16,
               "--workers", 0, "--json")  # fmt: skip
    assert result.code == 0, result
    assert json.loads(result.stdout) == json.loads((out / "build.json").read_text())
    assert re.search(r"^build: 60/60 scenes", result.stderr, re.MULTILINE)
    assert ESCAPE not in result.stdout + result.stderr


@pytest.mark.slow
def test_build_data_for_a_person(nsi: Nsi, raw: Path, tmp_path: Path) -> None:
    result = nsi("-q", "build-data", "clevrtex", "--raw", raw, "--out", tmp_path / "data",
               "--image-size", 16, "--workers", 0)  # fmt: skip
    assert result.stderr == ""
    counts = {name: int(count) for name, count in
              re.findall(r"(train|val|test) +(\d+)", result.stdout)}  # fmt: skip
    assert sum(counts.values()) == 60


def test_training_prints_its_run_and_tells_the_rest(
    nsi: Nsi, tiny_flags: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    result = nsi("train", *tiny_flags, "--epochs", 1, "--out", run)
    assert result.stdout == f"trained: {run}\n"
    assert re.search(r"^train: 6/6 steps .* loss .* R@1 ", result.stderr, re.MULTILINE), result
    assert f"nsi eval {run}" in result.stderr
    assert ESCAPE not in result.stderr


@pytest.mark.slow
def test_quiet_silences_all_but_results(
    nsi: Nsi, tiny_flags: list[str], trained: Path, tmp_path: Path
) -> None:
    result = nsi("-q", "train", *tiny_flags, "--epochs", 1, "--out", tmp_path / "run")
    assert (result.stdout, result.stderr) == (f"trained: {tmp_path / 'run'}\n", "")
    result = nsi("-q", "eval", tmp_path / "run")
    assert result.stderr == ""
    assert "R@5" in result.stdout
    assert nsi("-q", "interpret", tmp_path / "run").stderr == ""


@pytest.mark.slow
def test_evaluation_as_json_is_what_is_on_disk(nsi: Nsi, trained: Path) -> None:
    result = nsi("eval", trained, "--split", "val", "--json")
    assert json.loads(result.stdout) == json.loads((trained / "eval" / "val.json").read_text())
    assert "evaluate: " in result.stderr


@pytest.mark.slow
def test_a_part_of_the_suite_leaves_the_whole_on_disk(nsi: Nsi, trained: Path) -> None:
    assert nsi("-q", "eval", trained).code == 0
    written = (trained / "eval" / "test.json").read_bytes()
    result = nsi("-q", "eval", trained, "--metric", "retrieval", "--json")
    part = json.loads(result.stdout)
    assert "segmentation" not in part
    assert part["retrieval"] == json.loads(written)["retrieval"]
    assert (trained / "eval" / "test.json").read_bytes() == written


NOISY = """
import logging, warnings
from nsi_cli.plugins import Task, hookimpl

print("printed")
warnings.warn("warned of")
logging.getLogger("library").info("noted")
logging.getLogger("library").warning("minded")

@hookimpl
def nsi_tasks():
    return Task("noisy", "", schema_builder="away:Builder")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "shown"), [((), False), (("-v",), True)])
def test_what_libraries_say_is_shown_when_asked_for(
    flags: tuple[str, ...], shown: bool, run_nsi: Nsi, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "noisy"\n[project.entry-points."nsi.tasks"]\nnoisy = "noisy"\n'
    )
    (tmp_path / "noisy.py").write_text(NOISY)
    result = run_nsi(*flags, "--plugin-dir", tmp_path, "tasks", "--json")
    assert "noisy" in {row["name"] for row in json.loads(result.stdout)}
    for word in ("warned of", "noted", "minded"):
        assert (word in result.stderr) is shown, result


@pytest.mark.slow
@pytest.mark.slow
def test_controls_have_tables_of_their_own(
    nsi: Nsi, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = nsi("-q", "eval", trained, "--controls", "--slot-samples", "2", "--mask-size", "32")
    assert result.code == 0, result
    titles = [line for line in result.stdout.splitlines() if line.startswith("control: ")]
    names = ["untrained", "shuffled schemas", "random slots", "oracle"]
    assert titles == [f"control: {name}" for name in names]
    written = json.loads((trained / "eval" / "test.json").read_text())
    assert list(written["controls"]) == ["untrained", "shuffled_schemas", "random_slots", "oracle"]
    assert (written["slot_samples"], written["mask_size"]) == (2, 32)
    assert written["controls"]["oracle"]["grounding"]["iou"]["value"] == 1
    assert "slot_std" in written["retrieval"]["image_to_schema"]["mrr"]
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if "–" in line)


def test_a_query_has_a_table_and_a_page(nsi: Nsi, trained: Path, tmp_path: Path) -> None:
    result = nsi("interpret", trained, "--query", "cube small", "--top", 2, "--out", tmp_path)
    assert result.code == 0, result
    assert "replaced" not in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "cube small"
    for explained in ("relevant: ", "score: ", "on it: ", "numbered from 1"):
        assert explained in result.stdout
    assert re.search(r"^rank +scene +score +slot +relevant +on it", lines[1])
    assert lines[-1] == str(tmp_path / "queries.html")
    refused = nsi("-q", "interpret", trained, "--query", "smal1", "--out", tmp_path)
    assert (refused.code, refused.stdout) == (2, "")
    assert "no property has a value 'smal1'" in refused.stderr
    again = nsi("interpret", trained, "--query", "small", "--top", 2, "--out", tmp_path)
    assert f"replaced: {tmp_path / 'queries.html'}" in again.stderr
    both = nsi("-q", "interpret", trained, "--query", "small", "--image", "a.png")
    assert both.code == 2


@pytest.mark.slow
def test_the_table_of_eval_fits_80_columns_and_says_what_null_is(
    nsi: Nsi, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = nsi("-q", "eval", trained).stdout.splitlines()
    assert re.search(r"^ *metric +value +95 % CI +null +95 % CI$", lines[1])
    for name in ("pointing", "R@5", "material"):
        (row,) = [line for line in lines if re.search(rf"\b{name}\b", line)][:1]
        assert re.search(rf"{name} +\S+ +\S+–\S+ +\S+ +\S+–\S+$", row)
    assert all(len(line) <= 80 for line in lines)
    notes = " ".join(line.strip() for line in lines[lines.index("") :])
    assert "null: the same measure at chance; retrieval: ranks at random; " in notes
    assert "read from the slot with the largest IoU with the object's true mask" in notes
    assert "probes: accuracy, unless marked R²" in notes
