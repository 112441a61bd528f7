"""A run that is killed again and again ends as if it had been left alone, to the bit.

``NSI_KILLS=20 pytest tests/training/test_kills.py`` kills as often as you have patience for, and
``NSI_KILL_SEED`` chooses other moments.
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nsi_cli.training.checkpoint import load_state
from nsi_cli.training.run import open_run

KILLS = int(os.environ.get("NSI_KILLS", "3"))
SEED = int(os.environ.get("NSI_KILL_SEED", "0"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180 + 60 * KILLS)]

STEPS_AN_EPOCH = 6
MOST_LINES = 2 * STEPS_AN_EPOCH
"""How many lines of metrics are logged before a kill, at most: seven an epoch."""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def flags(tiny_flags: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A training that reads a feature cache with two processes, and saves after every step."""
    more = {"--num-workers": 2, "--checkpoint-minutes": 1e-9, "--epochs": 4 + 3 * KILLS,
            "--precision": "32", "--pictures-every": 0}  # fmt: skip
    return [*tiny_flags, *(str(word) for pair in more.items() for word in pair)]


def training(flags: list[str], folder: Path) -> list[str]:
    """The words that train in a folder, with a cache of its own: it too is killed half-made."""
    return ["train", *flags, "--feature-cache", str(folder / "cache"), "--out", str(folder / "run")]


@pytest.fixture(scope="module")
def left_alone(
    flags: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, bytes]]:
    """The run that nothing interrupts, and all that it came to."""
    folder = tmp_path_factory.mktemp("alone")
    words = [sys.executable, "-m", "nsi_cli", *training(flags, folder)]
    subprocess.run(words, check=True, capture_output=True)
    return folder / "run", outcome(folder / "run")


def outcome(run: Path) -> dict[str, bytes]:
    """Every logged line and every weight, as bytes."""
    files = [run / "metrics.jsonl", *run.glob("checkpoints/*/weights.safetensors")]
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def lines_of(run: Path) -> int:
    metrics = run / "metrics.jsonl"
    return metrics.read_bytes().count(b"\n") if metrics.is_file() else 0


def wait_for_the_moment(process: subprocess.Popen[str], run: Path, chance: random.Random) -> None:
    """Until a random moment: within the steps, or in one of four already at the start."""
    lines = lines_of(run) + chance.randint(1, MOST_LINES)
    at_start = chance.random() < 0.25
    until = time.monotonic() + (chance.uniform(0, 6) if at_start else 120)
    while lines_of(run) < lines and process.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    assert at_start or time.monotonic() < until
    time.sleep(chance.uniform(0, 0.08))


def printed(stderr: str) -> list[str] | None:
    """The words of the command that a stopped training says it continues with."""
    result = [
        line.split("resume with: ")[1] for line in stderr.splitlines() if "resume with" in line
    ]
    return shlex.split(result[-1])[1:] if result else None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_killed_at_random_moments_comes_out_as_if_left_alone(
    number: signal.Signals, start_nsi: Start, flags: list[str],
    left_alone: tuple[Path, dict[str, bytes]], tmp_path: Path,
) -> None:  # fmt: skip
    chance, run = random.Random(f"{SEED} {number}"), tmp_path / "run"
    words, codes = training(flags, tmp_path), []
    for _ in range(KILLS):
        begun = lines_of(run)
        process = start_nsi(*words)
        wait_for_the_moment(process, run, chance)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=120)  # until its loaders have ended too
        assert process.returncode != 0, "it ended before it was killed: more epochs are needed"
        codes.append(process.returncode)
        if number == signal.SIGTERM and lines_of(run) > begun:
            assert process.returncode == 130, stderr
            assert printed(stderr), stderr
        if (run / "config.yaml").is_file():
            words = printed(stderr) or ["train", "--resume", str(run)]
    assert len(codes) == KILLS
    done = start_nsi(*words)
    _, stderr = done.communicate(timeout=300)
    assert done.returncode == 0, stderr
    alone, wanted = left_alone
    assert outcome(run) == wanted, f"killed with {codes} from seed {SEED}"
    for name in ("best", "last"):
        mine, theirs = (load_state(path / "checkpoints" / name)[1] for path in (run, alone))
        assert mine == theirs
    assert open_run(run).config.epochs == mine.epoch
