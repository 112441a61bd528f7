"""The main job from end to end, each in a process of its own, as a user runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

Nsi = Callable[..., Any]
pytestmark = pytest.mark.slow

DEMO = """
import sys
from nsi_cli.cli import demo, main
from nsi_cli.training import presets

read = presets.read_preset
shrunken = {tiny!r}
presets.read_preset = lambda name: {{**read(name), **(shrunken if name == demo.PRESET else {{}})}}
sys.argv = ["nsi", "demo", "--scenes", "60", "--out", "my demo"]
main()
"""


START = """
import multiprocessing, sys
from nsi_cli.cli import main

multiprocessing.set_start_method(sys.argv.pop(1))
main()
"""


def measures(part: Any) -> list[dict[str, Any]]:
    """Every measure below a part of a result."""
    if not isinstance(part, dict):
        return []
    if "value" in part:
        return [part]
    return [found for value in part.values() for found in measures(value)]


def check_result(result: dict[str, Any], split: str) -> None:
    """A result has the published structure, and every measure an interval around it."""
    assert result["split"] == split
    assert result["scenes"] > 0
    for direction in ("image_to_schema", "schema_to_image"):
        assert {"R@1", "R@5", "R@10", "median_rank"} <= result["retrieval"][direction].keys()
    assert {"pointing", "iou"} <= result["grounding"].keys()
    for masks in ("slot_masks", "attention_masks"):
        if result["segmentation"][masks]:  # there are no slot masks without a decoder
            assert {"ari", "fg_ari", "mbo", "miou"} <= result["segmentation"][masks].keys()
    assert result["segmentation"]["attention_masks"]
    assert result["properties"]
    found = measures(result)
    assert len(found) > 15
    for measure in found:
        low, high = measure["ci95"]
        assert low <= measure["value"] <= high


def check_page(page: Path) -> None:
    """The page is one file: nothing in it is fetched from anywhere."""
    text = page.read_text(encoding="utf-8")
    assert "<html" in text
    fetched = re.findall(r"(?:src|href|url\()\s*=?\s*[\"']?\s*((?:https?:)?//[^\"')\s]+)", text)
    assert fetched == []
    assert "@import" not in text
    assert "data:image/" in text


def test_the_demo(tiny: dict[str, Any], tmp_path: Path) -> None:
    keep = ("slot_dim", "num_iterations", "mlp_hidden_size", "decoder_hidden_size", "d_model",
            "num_blocks", "num_heads", "embed_dim", "epochs", "texture_grid")  # fmt: skip
    small = {name: tiny[name] for name in keep} | {"batch_size": 16}
    done = subprocess.run(
        [sys.executable, "-c", DEMO.format(tiny=small)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    demo = tmp_path / "my demo"
    assert [path.name for path in tmp_path.iterdir()] == ["my demo"]
    check_result(json.loads((demo / "run" / "eval" / "test.json").read_text()), "test")
    check_page(demo / "run" / "report" / "index.html")
    commands = re.findall(r"^\$ nsi (\S+)", done.stderr, re.MULTILINE)
    assert commands == ["build-data", "train", "eval", "interpret"]
    assert "--data 'my demo/data'" in done.stderr
    table, _, rest = done.stdout.partition("report: ")
    assert "R@1" in table
    assert rest.startswith("my demo/run/report/index.html\nnext:")
    again = subprocess.run(
        [sys.executable, "-m", "nsi_cli", "demo", "--out", "my demo"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 1
    assert "exists already" in again.stderr


def test_a_trained_run_is_evaluated_and_shown_with_images_of_ones_own(
    run_nsi: Nsi, trained: Path, raw: Path, tmp_path: Path
) -> None:
    answer = run_nsi("eval", trained, "--split", "test", "--json", cwd=tmp_path)
    assert answer.code == 0, answer
    check_result(json.loads(answer.stdout), "test")
    image = min(raw.rglob("CLEVRTEX_full_*[0-9].png"))
    answer = run_nsi("interpret", trained, "--image", image, "--out", tmp_path / "page", "--top", 2)
    assert answer.code == 0, answer
    title, columns, *_, page = answer.stdout.splitlines()
    assert title == image.name
    assert columns.split() == ["slot", "share", "size", "shape", "material", "familiarity"]
    assert page == str(tmp_path / "page" / "index.html")
    check_page(tmp_path / "page" / "index.html")
    assert image.name in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_new_task_does_the_whole_job_uninstalled(
    method: str, run_nsi: Nsi, tiny_flags: list[str], tmp_path: Path
) -> None:
    run = partial(run_nsi, cwd=tmp_path, command=(sys.executable, "-c", START, method))
    made = run("new-task", "my-scenes", "--dir", "plugins")
    assert made.code == 0, made
    from_environment = partial(run, NSI_PLUGIN_PATH="plugins")
    run = partial(run, "--plugin-dir", "plugins")
    tasks = json.loads(run("tasks", "--json").stdout)
    assert ("my-scenes", "ok") in {(row["name"], row["status"]) for row in tasks}
    flags = [*tiny_flags, "--num-workers", "2"]
    check_whole_job(run, flags, tmp_path)
    flags += ["--task", "my-scenes", "--data", "data/my-scenes", "--dry-run"]
    answer = from_environment("train", *flags)
    assert answer.code == 0, answer


def test_a_new_task_does_the_whole_job_installed(
    run_nsi: Nsi, tiny_flags: list[str], tmp_path: Path
) -> None:
    made = run_nsi("new-task", "my-scenes", cwd=tmp_path)
    assert made.code == 0, made
    python = virtual_environment(tmp_path / "venv")
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", python, "install"]
    no_network = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, *no_network, "--editable", "my-scenes"], cwd=tmp_path, check=True)
    run = partial(run_nsi, cwd=tmp_path, command=(python, "-m", "nsi_cli"))
    check_whole_job(run, tiny_flags, tmp_path)


def virtual_environment(folder: Path) -> Path:
    """Make one that also finds the packages of this one, and return its interpreter."""
    venv.create(folder, symlinks=True)
    [packages] = (folder / "lib").glob("python*/site-packages")
    (packages / "outer.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin" / "python"


def check_whole_job(run: Nsi, flags: list[str], folder: Path) -> None:
    """The commands of a plugin that nobody edited work: build, train, evaluate, interpret."""
    built = run("build-data", "my-scenes", "--synthetic", 40, "--image-size", 48,
                "--workers", 2, "--json")  # fmt: skip
    assert built.code == 0, built
    assert sum(split["scenes"] for split in json.loads(built.stdout)["splits"].values()) == 40
    options = ["--task", "my-scenes", "--data", "data/my-scenes", "--epochs", 1, "--out", "run"]
    trained = run("train", *flags, *options)
    assert trained.code == 0, trained
    evaluated = run("eval", "run", "--json")
    assert evaluated.code == 0, evaluated
    check_result(json.loads(evaluated.stdout), "test")
    shown = run("interpret", "run", "--scenes", 2)
    assert shown.code == 0, shown
    check_page(folder / "run" / "report" / "index.html")
