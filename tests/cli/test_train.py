"""``nsi train``: flags, files and presets; runs that stop and go on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nsi_cli.support.options import plain
from nsi_cli.training.checkpoint import has_checkpoint, load_state, load_weights
from nsi_cli.training.presets import preset_names, resolve
from nsi_cli.training.run import create_run, open_run

Nsi = Callable[..., Any]
Start = Callable[..., subprocess.Popen[str]]
Tree = Callable[[Path], dict[str, bytes]]


def test_both_spellings_are_one_flag(nsi: Nsi) -> None:
    printed = [
        nsi("train", "--task", "clevrtex", flag, "7", "--print-config").stdout
        for flag in ("--batch-size", "--batch_size")
    ]
    assert printed[0] == printed[1]
    assert yaml.safe_load(printed[0])["batch_size"] == 7


def test_a_printed_config_is_read_back(nsi: Nsi, tmp_path: Path) -> None:
    first = nsi("train", "--task", "clevrtex", "--preset", "readme", "--lr", "1e-5",
                "--slot-init", "tokens", "--print-config")  # fmt: skip
    assert (first.code, first.stderr) == (0, "")
    (tmp_path / "c.yaml").write_text(first.stdout)
    second = nsi("train", "--config", tmp_path / "c.yaml", "--print-config")
    assert second.stdout == first.stdout
    values = yaml.safe_load(first.stdout)
    assert (values["epochs"], values["lr"], values["data"]) == (900, 1e-5, "data/clevrtex")


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_prints_what_it_resolves_to(name: str, nsi: Nsi) -> None:
    result = nsi("train", "--task", "clevrtex", "--data", "d", "--preset", name, "--print-config")
    assert yaml.safe_load(result.stdout) == plain(
        resolve(name, None, {"task": "clevrtex", "data": "d"})
    )


def test_a_dry_run_writes_nothing(
    nsi: Nsi, tiny_flags: list[str], store: Path, tmp_path: Path, tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    result = nsi("train", *tiny_flags, "--dry-run")
    assert result.code == 0, result
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "loss", "contrastive", "reconstruction", "R@1",
    ]  # fmt: skip
    assert tree(tmp_path) == {}
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before
    monkeypatch.setattr("nsi_cli.cli.train.is_first_process", lambda: False)
    assert nsi("train", *tiny_flags, "--dry-run").stdout == ""  # another process prints it


def test_too_few_slots_are_a_warning_and_training_goes_on(
    nsi: Nsi, tiny_flags: list[str], tmp_path: Path
) -> None:
    result = nsi("train", *tiny_flags, "--num-slots", 3, "--epochs", 1, "--out", tmp_path / "run")
    assert result.code == 0, result
    (warning,) = [line for line in result.stderr.splitlines() if line.startswith("warning:")]
    assert "3 slots for scenes of up to 10 objects" in warning
    assert "share slots" in warning


def assert_same(run: Path, other: Path) -> None:
    """Every logged line, every weight, and how far both are."""
    assert (run / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    mine, theirs = (load_weights(path / "checkpoints" / "last") for path in (run, other))
    assert all(mine[name].equal(theirs[name]) for name in mine | theirs)
    (_, at), (_, other_at) = (load_state(path / "checkpoints" / "last") for path in (run, other))
    assert at == other_at


EPOCHS = 12


@pytest.fixture(scope="module")
def left_alone(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A longer run that nothing interrupts."""
    from nsi_cli import api

    out = tmp_path_factory.mktemp("alone") / "run"
    api.train(api.train_config(**{**tiny, "epochs": EPOCHS}), out)
    return out


def wait_for_lines(process: subprocess.Popen[str], metrics: Path, count: int) -> None:
    """Until the run has logged so many lines; it must not have ended by then."""
    until = time.monotonic() + 120
    while not metrics.is_file() or metrics.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.002)


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_it_had_been_left_alone(
    start_nsi: Start, nsi: Nsi, tiny_flags: list[str], left_alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start_nsi("train", *tiny_flags, "--epochs", EPOCHS, "--out", run,
                        "--checkpoint-minutes", "1e-9")  # fmt: skip
    wait_for_lines(process, run / "metrics.jsonl", 17)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    lines = (run / "metrics.jsonl").read_bytes().count(b"\n")
    assert 17 <= lines < EPOCHS * 7
    assert nsi("train", "--resume", run).code == 0
    assert_same(run, left_alone)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_and_tells_how_to_go_on(
    number: signal.Signals, start_nsi: Start, nsi: Nsi, tiny_flags: list[str], left_alone: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    run = tmp_path / "a run"
    more = [] if number == signal.SIGTERM else ["--num-workers", "1"]
    process = start_nsi("--plugin-dir", tmp_path, "train", *tiny_flags, *more,
                        "--epochs", EPOCHS, "--out", run)  # fmt: skip
    wait_for_lines(process, run / "metrics.jsonl", 7)
    if number == signal.SIGTERM:
        process.send_signal(number)
    else:  # a terminal sends it to every process of the command
        os.killpg(process.pid, number)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert stdout == ""
    *_, result, hint = stderr.splitlines()
    assert result.startswith("nsi: interrupted after step ")
    assert hint == f"     resume with: nsi --plugin-dir {tmp_path} train --resume '{run}'"
    assert "Traceback" not in stderr
    assert nsi("train", "--resume", run).code == 0
    assert_same(run, left_alone)


@pytest.mark.slow
def test_a_closed_terminal_saves(
    nsi: Nsi, tiny_flags: list[str], left_alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    ours, theirs = pty.openpty()
    words = ["train", *tiny_flags, "--num-workers", "1", "--epochs", str(EPOCHS), "--out", str(run)]
    process = subprocess.Popen(
        [sys.executable, "-m", "nsi_cli", *words],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, text=True,
        preexec_fn=_take_the_terminal,
    )  # fmt: skip
    os.close(theirs)
    drawing = threading.Thread(target=_read_all, args=(ours,), daemon=True)
    drawing.start()
    wait_for_lines(process, run / "metrics.jsonl", 7)
    os.close(ours)
    assert process.wait(timeout=120) == 130
    assert nsi("train", "--resume", run).code == 0
    assert_same(run, left_alone)


def _take_the_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read_all(terminal: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(terminal, 65536):
            pass


@pytest.mark.slow
def test_a_killed_loader_worker_ends_the_training_with_one_line(
    start_nsi: Start, tiny_flags: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start_nsi("-q", "train", *tiny_flags, "--num-workers", 1, "--epochs", 10_000,
                        "--out", run)  # fmt: skip
    wait_for_lines(process, run / "metrics.jsonl", 7)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        for worker in _children(process.pid):  # of one epoch; it may be done with all its batches
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        time.sleep(0.05)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (1, "")
    result, hint = stderr.splitlines()
    assert re.fullmatch(r"nsi: a loader worker \(process \d+\) was killed \(signal 9\)", result)
    assert "--num-workers" in hint


def _children(process: int) -> list[int]:
    result = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in result.stdout.split()]


@pytest.mark.slow
def test_a_run_without_a_checkpoint_is_resumed_from_its_beginning(
    nsi: Nsi, trained: Path, tmp_path: Path
) -> None:
    done = open_run(trained)
    run = create_run(tmp_path / "run", done.config, done.schema)
    shutil.copy(trained / "metrics.jsonl", run.metrics)  # what it had logged before it was killed
    result = nsi("train", "--resume", run.path)
    assert result.code == 0, result
    assert "no checkpoint yet: it starts from the beginning" in result.stderr
    assert has_checkpoint(run.best)
    assert_same(run.path, trained)


@pytest.mark.slow
def test_a_run_that_is_being_trained_is_not_resumed(
    start_nsi: Start, nsi: Nsi, tiny_flags: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start_nsi("train", *tiny_flags, "--epochs", 10_000, "--out", run)
    wait_for_lines(process, run / "metrics.jsonl", 7)
    result = nsi("train", "--resume", run)
    assert (result.code, result.stdout) == (1, "")
    message, hint = result.stderr.splitlines()
    assert f"{run} is being trained right now, by process {process.pid} on" in message
    assert hint.strip()
    process.kill()
    process.wait()


@pytest.mark.slow
def test_a_finished_run_says_so_and_goes_on_for_more_epochs(
    nsi: Nsi, tiny_flags: list[str], trained: Path, tmp_path: Path
) -> None:
    run, alone = tmp_path / "run", tmp_path / "alone"
    shutil.copytree(trained, run)
    result = nsi("train", "--resume", run)
    assert (result.code, result.stdout) == (0, f"trained: {run}\n")
    assert f"already finished: 3 epochs; train more: nsi train --resume {run} --epochs 6" in (
        result.stderr
    )
    assert_same(run, trained)
    assert nsi("train", "--resume", run, "--epochs", 5).code == 0
    assert nsi("train", *tiny_flags, "--epochs", 5, "--out", alone).code == 0
    assert_same(run, alone)
    assert (run / "config.yaml").read_bytes() == (alone / "config.yaml").read_bytes()


@pytest.mark.slow
def test_a_run_goes_back_to_an_earlier_checkpoint_and_comes_out_the_same(
    nsi: Nsi, tiny_flags: list[str], trained: Path, tmp_path: Path
) -> None:
    run, shorter = tmp_path / "run", tmp_path / "shorter"
    shutil.copytree(trained, run)
    assert nsi("train", *tiny_flags, "--epochs", 1, "--out", shorter).code == 0
    step = load_state(shorter / "checkpoints" / "last")[1].step
    shutil.copytree(shorter / "checkpoints" / "last", run / "checkpoints" / f"step-{step:08d}")
    result = nsi("train", "--resume", run, "--checkpoint", f"step-{step:08d}")
    assert result.code == 0, result
    assert "already finished" not in result.stderr
    assert f"resuming after step {step}\n" in result.stderr
    assert_same(run, trained)


@pytest.fixture(scope="module")
def unlike(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the paper's alternatives."""
    from nsi_cli import api

    out = tmp_path_factory.mktemp("unlike") / "run"
    chosen = {
        "alignment": "hungarian",
        "num_blocks": 0,
        "exclude_properties": "shape, position",
        "epochs": 1,
    }
    api.train(api.train_config(**{**tiny, **chosen}), out)
    return out


@pytest.mark.slow
def test_a_run_of_the_papers_alternatives_is_evaluated_and_interpreted(
    nsi: Nsi, unlike: Path
) -> None:
    result = nsi("eval", unlike, "--json")
    assert result.code == 0, result
    assert set(json.loads(result.stdout)["properties"]) == {"material", "size"}
    assert "shape, position: excluded from training" in result.stderr
    assert nsi("interpret", unlike).code == 0


@pytest.mark.slow
def test_another_checkpoint_has_an_evaluation_and_a_report_of_its_own(
    nsi: Nsi, unlike: Path
) -> None:
    assert nsi("eval", unlike, "--checkpoint", "last", "--json").code == 0
    assert (unlike / "eval" / "test-last.json").is_file()
    result = nsi("interpret", unlike, "--checkpoint", "last")
    assert result.stdout == f"{unlike / 'report-last' / 'index.html'}\n"
    assert "at last" in Path(result.stdout.strip()).read_text()


@pytest.mark.slow
def test_the_release_preset_trains_evaluates_and_draws(
    nsi: Nsi, tiny_flags: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = nsi("train", "--preset", "release", *tiny_flags, "--epochs", "1", "--out", run)
    assert done.code == 0, done
    assert open_run(run).config.mask_absent is False
    evaluated = nsi("eval", run, "--json")
    assert evaluated.code == 0, evaluated
    assert json.loads(evaluated.stdout)["properties"]["shape"]
    drawn = nsi("interpret", run, "--out", tmp_path / "report")
    assert drawn.code == 0, drawn
    assert (tmp_path / "report" / "index.html").is_file()
