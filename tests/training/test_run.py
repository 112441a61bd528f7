"""A run is trained by one command at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nsi_cli.support.errors import DataError
from nsi_cli.support.processes import is_first_process
from nsi_cli.training.run import run_lock

HOLD = """
import sys, time
from pathlib import Path
from nsi_cli.training.run import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds the run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_a_run_that_another_process_trains_is_refused_in_one_line(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="being trained right now") as result, run_lock(tmp_path):
        raise AssertionError
    assert f"by process {holder.pid} on " in result.value.message
    assert "\n" not in result.value.message
    assert result.value.hint


@pytest.mark.slow
def test_a_killed_process_lets_go(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with run_lock(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / ".lock").read_text()


@pytest.mark.slow
def test_the_other_processes_of_one_training_do_not_hold_it(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with run_lock(tmp_path, first=False):
        pass


def test_a_run_can_be_trained_again_and_leaves_one_line(tmp_path: Path) -> None:
    for _ in range(2):
        with run_lock(tmp_path):
            pass
    assert len((tmp_path / ".lock").read_text().splitlines()) == 1


def _sleep() -> None:
    signal.pause()


@pytest.mark.slow
def test_a_loader_process_that_outlives_its_training_does_not_hold_the_run(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        worker = multiprocessing.get_context("fork").Process(target=_sleep)
        worker.start()
    try:
        done = subprocess.run(
            [sys.executable, "-c", HOLD.replace("60", "0"), str(tmp_path)], check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.stdout == "held\n", done.stderr
    finally:
        worker.kill()
        worker.join()


@pytest.mark.parametrize(
    ("result", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "1"}, False),
        ({"NODE_RANK": "1", "LOCAL_RANK": "0"}, False),
        ({"SLURM_PROCID": "0"}, True),
        ({"SLURM_PROCID": "3"}, False),
    ],
)
def test_the_first_process_knows_itself(
    result: dict[str, str], first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in result.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() == first
