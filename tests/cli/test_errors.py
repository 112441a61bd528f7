"""What goes wrong is reported in one line with a hint, on stderr, and nothing is written."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nsi_cli.training.run import create_run, open_run

Nsi = Callable[..., Any]
OneLine = Callable[..., None]
Tree = Callable[[Path], dict[str, bytes]]


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default paths lead nowhere."""
    monkeypatch.chdir(tmp_path)


def test_a_missing_raw_folder(nsi: Nsi, one_line: OneLine, tmp_path: Path) -> None:
    result = nsi("build-data", "clevrtex", "--raw", "away", "--out", "new/data")
    one_line(result, 1, "no raw folder at away", "--synthetic")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words", [("build-data", "clevrtx"), ("train", "--task", "clevrtx"), ("build-data", "x y")]
)
def test_an_unknown_task(
    words: tuple[str, ...], nsi: Nsi, one_line: OneLine, tmp_path: Path
) -> None:
    one_line(nsi(*words), 3, f"unknown task '{words[-1]}'", "clevrtex")
    assert not list(tmp_path.iterdir())


def test_unknown_keys_of_a_config_file(nsi: Nsi, one_line: OneLine, tmp_path: Path) -> None:
    Path("c.yaml").write_text("task: clevrtex\nnum_slot: 3\nbatchsize: 4\nlr: -1\n")
    result = nsi("train", "--config", "c.yaml")
    one_line(
        result, 2, "'num_slot' (did you mean 'num_slots'?)",
        "'batchsize' (did you mean 'batch_size'",
        "lr: ", "3 faults",
    )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.slow
def test_a_flag_that_is_out_of_bounds(nsi: Nsi, one_line: OneLine, tmp_path: Path) -> None:
    one_line(nsi("train", "--task", "clevrtex", "--dropout", "1"), 2, "nsi: --dropout: ")
    result = nsi("train", "--task", "clevrtex", "--devices", "two")
    one_line(result, 2, "nsi: --devices: must be auto or a number from 1 to 99, not 'two'")
    one_line(nsi("train"), 2, "no task is named (--task NAME")
    assert not list(tmp_path.iterdir())


def test_a_word_that_is_not_a_choice_is_reported_without_the_prefix_of_pydantic(nsi: Nsi) -> None:
    result = nsi("build-data", "table", "--box-format", "xyzw")
    assert result.code == 2
    assert "'xyzw' is not one of 'auto'" in result.stderr
    assert "Value error" not in result.stderr


def test_a_missing_store(nsi: Nsi, one_line: OneLine, tmp_path: Path) -> None:
    result = nsi("train", "--task", "clevrtex")
    one_line(result, 1, "no store at data/clevrtex", "nsi build-data")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["trian"], "no such command 'trian'", "did you mean 'train'?"),
        (["--qiet", "tasks"], "no option --qiet", "did you mean '--quiet'? see nsi --help"),
        (["train", "--epoch", "3"], "no option --epoch", "'--epochs'? see nsi train --help"),
        (["train", "--task"], "option '--task' requires an argument", "nsi train --help"),
        (["train", "--lr", "fast"], "--lr: input should be a valid number", "nsi train --help"),
        (["train", "--clip", "none"], "--clip: 'none' is not one of 'both'", "nsi train --help"),
        (["train", "--compile=3"], "option '--compile' does not take a value", "nsi train"),
        (["train", "--preset", "big"], "no preset 'big'", "demo"),
        (["train", "--config", "away.yaml"], "config file away.yaml cannot be read", "--config"),
        (["eval"], "RUN is missing", "RUN: Folder of a run"),
        (["eval", "away", "--batch-size", "0"], "--batch-size: input should be", "nsi eval"),
        (["eval", "away", "--csv", "--json"], "exclude each other", "only one"),
        (["interpret"], "RUN is missing", "nsi interpret --help"),
        (["interpret", "away", "--query", "a", "--figures"], "exclude each other", "only one"),
        (["export", "away"], "--to is missing", "--to: Folder to create"),
        (["new-task"], "NAME is missing", "nsi new-task --help"),
        (["new-task", "Big"], "'Big' cannot be a task's name", "lower-case"),
        (["demo", "here"], "unexpected argument: here", "nsi demo --help"),
        (["tasks", "--raw", "away"], "--raw has no effect without --check", "--check NAME"),
        (["build-data", "--foo"], "no option --foo", "nsi build-data --help"),
        (["build-data", "clevrtex", "--materials", "99"], "--materials: input", "--help"),
        (["build-data", "clevrtex", "--yes"], "--yes has no effect without", "--download"),
    ],
)
def test_a_mistake_in_the_command_is_one_line_and_a_hint_with_exit_code_2(
    words: list[str], message: str, hint: str, nsi: Nsi, one_line: OneLine, tmp_path: Path
) -> None:
    result = nsi(*words)
    one_line(result, 2, message)
    assert hint in result.stderr.splitlines()[1]
    assert not list(tmp_path.iterdir())


@pytest.fixture
def damaged(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the raw folder, to be damaged; the path of its first scene's JSON."""
    copy = tmp_path_factory.mktemp("damaged") / "raw"
    shutil.copytree(raw, copy)
    return min(copy.rglob("CLEVRTEX_full_*.json"))


def corrupt_picture(scene: Path) -> None:
    picture = scene.with_suffix(".png")
    picture.write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])


def truncate_json(scene: Path) -> None:
    scene.write_text(scene.read_text()[:100])


def misname_material(scene: Path) -> None:
    data = json.loads(scene.read_text())
    data["objects"][0]["material"] = "poliigonbrickz01"
    scene.write_text(json.dumps(data))


def add_pixels_without_object(scene: Path) -> None:
    from PIL import Image

    path = scene.with_name(f"{scene.stem}_flat.png")
    with Image.open(path) as mask:
        mask.load()
    stray = mask.point(lambda value: 99 if value == 1 else value)
    Image.frombytes("L", stray.size, stray.tobytes()).save(path)  # its palette has no 99


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (corrupt_picture, "CLEVRTEX_full_000000"),
        (truncate_json, "its JSON is damaged"),
        (misname_material, "poliigonbrickz01"),
        (add_pixels_without_object, "the mask has a value 99 that belongs to no object"),
    ],
)
def test_a_damaged_scene(
    damage: Callable[[Path], None], cause: str, damaged: Path, nsi: Nsi, one_line: OneLine,
    tmp_path: Path,
) -> None:  # fmt: skip
    damage(damaged)
    folder = damaged.parents[2]
    result = nsi("build-data", "clevrtex", "--raw", folder, "--out", "new/data", "--workers", 0,
               "--image-size", 32)  # fmt: skip
    one_line(result, 1, "1 of 60 scenes cannot be read", cause, "--max-skipped")
    assert not list(tmp_path.iterdir())


def test_nothing_but_a_store_is_ever_replaced(nsi: Nsi, one_line: OneLine, raw: Path) -> None:
    precious = Path("precious")
    precious.mkdir()
    (precious / "thesis.tex").write_text("years of work")
    words = ("build-data", "clevrtex", "--raw", raw, "--force", "--out")
    one_line(nsi(*words, precious), 1, "is not a store", "--out")
    one_line(nsi(*words, precious / "thesis.tex"), 1, "is not a store")
    one_line(nsi(*words, raw), 1, "is not a store")
    assert (precious / "thesis.tex").read_text() == "years of work"
    assert any(raw.iterdir())


@pytest.mark.slow
def test_a_store_is_replaced_only_by_force(nsi: Nsi, one_line: OneLine, raw: Path) -> None:
    words = ("build-data", "clevrtex", "--raw", raw, "--out", "data", "--workers", 0)
    assert nsi(*words, "--image-size", 16).code == 0
    one_line(nsi(*words, "--image-size", 32), 1, "data is a store already", "--force")
    assert json.loads(Path("data/build.json").read_text())["image_size"] == 16
    assert nsi(*words, "--image-size", 32, "--force").code == 0
    assert json.loads(Path("data/build.json").read_text())["image_size"] == 32


@pytest.mark.parametrize("command", ["eval", "interpret"])
def test_a_folder_that_is_no_run(command: str, nsi: Nsi, one_line: OneLine, tmp_path: Path) -> None:
    one_line(nsi(command, "away"), 1, "no run at away")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["eval", "interpret"])
def test_a_run_without_a_checkpoint(
    command: str, nsi: Nsi, one_line: OneLine, trained: Path, tmp_path: Path, tree: Tree
) -> None:
    done = open_run(trained)
    create_run(tmp_path / "run", done.config, done.schema)
    before = tree(tmp_path)
    result = nsi(command, tmp_path / "run")
    one_line(result, 1, "no checkpoint at", f"nsi train --resume {tmp_path / 'run'}")
    assert tree(tmp_path) == before


@pytest.fixture(scope="module")
def other_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of scenes with other materials."""
    from nsi_clevrtex.builder import ClevrtexBuilder

    from nsi_cli.data.build.build import build_store
    from nsi_cli.data.build.options import BuildOptions

    folder = tmp_path_factory.mktemp("other")
    builder = ClevrtexBuilder(folder / "raw", materials=2)
    builder.synthesize(8, seed=2, workers=0)
    return build_store(builder, "clevrtex", folder / "data", BuildOptions(48))


@pytest.mark.parametrize("command", ["eval", "interpret"])
def test_a_store_of_another_schema(
    command: str, nsi: Nsi, one_line: OneLine, trained: Path, other_store: Path, tree: Tree
) -> None:
    before = tree(trained)
    result = nsi(command, trained, "--data", other_store)
    one_line(result, 1, "another schema", "'material' has other values", "--data")
    assert tree(trained) == before


@pytest.mark.slow
def test_resuming_on_a_store_of_another_schema(
    nsi: Nsi, one_line: OneLine, trained: Path, other_store: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    values = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump({**values, "data": str(other_store), "batch_size": 1}))
    result = nsi("-q", "train", "--resume", tmp_path / "run", "--epochs", 9)
    one_line(result, 1, "another schema")


def test_a_store_that_was_moved(nsi: Nsi, one_line: OneLine, trained: Path, tmp_path: Path) -> None:
    config = shutil.copytree(trained, tmp_path / "run") / "config.yaml"
    values = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump({**values, "data": "moved"}))
    one_line(nsi("-q", "eval", tmp_path / "run"), 1, "no store at moved", "--data DIR")


def test_an_unknown_split_and_an_unknown_metric(
    nsi: Nsi, one_line: OneLine, trained: Path, tree: Tree
) -> None:
    before = tree(trained)
    one_line(nsi("-q", "eval", trained, "--split", "tset"), 2, "no split 'tset'", "'test'?", "val")
    one_line(nsi("-q", "eval", trained, "--metric", "retrival"), 2, "'retrieval'?")
    assert tree(trained) == before


def test_an_image_that_is_none(nsi: Nsi, one_line: OneLine, trained: Path) -> None:
    Path("notes.txt").write_text("no picture")
    one_line(nsi("interpret", trained, "--image", "away.png"), 1, "no image at away.png")
    one_line(nsi("interpret", trained, "--image", "notes.txt"), 1, "cannot be read as an image")


def test_a_new_run_never_takes_the_place_of_another(
    nsi: Nsi, one_line: OneLine, tiny_flags: list[str], trained: Path, tree: Tree
) -> None:
    before = tree(trained)
    result = nsi("-q", "train", *tiny_flags, "--out", trained)
    one_line(result, 1, "a run already exists at", "--resume")
    assert tree(trained) == before


def test_resume_takes_no_other_option(nsi: Nsi, one_line: OneLine, trained: Path) -> None:
    one_line(nsi("train", "--resume", trained, "--lr", "1"), 2, "--resume continues")
    one_line(
        nsi("train", "--checkpoint", "best"),
        2,
        "--checkpoint has no effect without --resume",
        "--resume",
    )


def test_a_run_is_never_shortened(nsi: Nsi, one_line: OneLine, trained: Path, tree: Tree) -> None:
    before = tree(trained)
    one_line(nsi("train", "--resume", trained, "--epochs", 2), 2, "3 epochs, more than --epochs 2")
    assert tree(trained) == before


@pytest.mark.slow
@pytest.mark.parametrize("words", [["eval"], ["interpret"], ["train", "--resume"]])
def test_an_unknown_checkpoint_is_told_with_the_nearest(
    words: list[str], nsi: Nsi, one_line: OneLine, trained: Path, tree: Tree
) -> None:
    before = tree(trained)
    one_line(nsi(*words, trained, "--checkpoint", "lst"), 2, "no checkpoint 'lst'", "'last'?")
    one_line(nsi(*words, trained, "--checkpoint", "../checkpoints/best"), 2, "no checkpoint")
    assert tree(trained) == before


def test_windows_is_refused_with_the_remedy(
    nsi: Nsi, one_line: OneLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    one_line(nsi("tasks"), 1, "nsi runs on Linux and macOS only", "WSL")
    assert nsi("--help").code == 0


def test_a_property_that_is_none_is_not_left_out(
    nsi: Nsi, one_line: OneLine, tiny_flags: list[str], tmp_path: Path, tree: Tree
) -> None:
    result = nsi(
        "-q", "train", *tiny_flags, "--exclude-properties", "materia", "--out", tmp_path / "run"
    )
    one_line(result, 2, "no property 'materia' to exclude", "'material'?")
    assert tree(tmp_path) == {}


def test_a_damaged_checkpoint_and_a_changed_config(
    nsi: Nsi, one_line: OneLine, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    config = run / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("slot_dim: 16", "slot_dim: 32"))
    one_line(nsi("-q", "eval", run), 1, "does not fit the model sizes", "config.yaml")
    config.write_text(text)
    (run / "checkpoints" / "best" / "weights.safetensors").write_bytes(b"half")
    one_line(nsi("-q", "eval", run), 1, "cannot be read")


def test_debug_shows_the_traceback(nsi: Nsi) -> None:
    result = nsi("--debug", "eval", "away")
    assert result.code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "nsi: no run at away" in result.stderr
    assert result.stdout == ""


def test_a_fault_of_our_own_is_one_line_too(
    nsi: Nsi, one_line: OneLine, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("in two\nlines")

    monkeypatch.setattr("nsi_cli.interpretation.loading.load_run", broken)
    one_line(nsi("eval", trained), 1, "ZeroDivisionError: in two lines", "--debug")


def test_a_missing_plugin_folder(nsi: Nsi, one_line: OneLine) -> None:
    one_line(nsi("--plugin-dir", "away", "tasks"), 3, "no plugin folder away")
