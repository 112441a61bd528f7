"""Whichever number of processes trains the demo's preset, the weights come out the same.

``NSI_THOROUGH=1`` takes its sizes as they are and 50 steps, which is minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nsi_cli.training.checkpoint import load_weights

THOROUGH = bool(os.environ.get("NSI_THOROUGH"))
SCENES = 78 if THOROUGH else 60  # a batch of them for training, and a few for validation
BATCH = 64 if THOROUGH else 50  # 3 does not divide it
STEPS = 50 if THOROUGH else 5

SMALLER = () if THOROUGH else (
    "--num-slots", "8", "--slot-dim", "32", "--d-model", "32", "--decoder-hidden-size", "32",
    "--texture-grid", "8",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, run_nsi: Callable[..., Any]) -> Path:
    """A store whose training split is one batch, so that an epoch is a step."""
    folder = tmp_path_factory.mktemp("ranks")
    result = run_nsi(
        "build-data", "clevrtex", "--synthetic", SCENES, "--image-size", 128, "--workers", 2,
        "--raw", folder / "raw", "--out", folder / "data", "--protocol", "benchmark",
    )  # fmt: skip
    assert result.code == 0, result
    return folder / "data"


def weights(data: Path, out: Path, *start: str) -> dict[str, torch.Tensor]:
    """The last weights of a training whose processes are started so."""
    command = [
        sys.executable, *start, "-m", "nsi_cli", "train", "--task", "clevrtex", "--preset", "demo",
        "--data", str(data), "--out", str(out), "--precision", "64", "--dropout", "0",
        "--batch-size", str(BATCH), "--epochs", str(STEPS), "--accelerator", "cpu",
        "--pictures-every", "0", *SMALLER,
    ]  # fmt: skip
    devices = [] if start else ["--devices", "2"] if out.name == "2" else []
    done = subprocess.run(
        [*command, *devices], check=False, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"trained: {out}\n"
    assert "Initializing" not in done.stderr
    return load_weights(out / "checkpoints" / "last")


def torchrun(processes: int) -> list[str]:
    return ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]


@pytest.mark.slow
@pytest.mark.timeout(1800 if THOROUGH else 300)
def test_one_two_and_three_processes_train_the_same_weights(data: Path, tmp_path: Path) -> None:
    alone = weights(data, tmp_path / "1")
    for other in (
        weights(data, tmp_path / "2"),  # started by the command itself
        weights(data, tmp_path / "3", *torchrun(3)),
    ):
        assert other.keys() == alone.keys()
        for name, value in alone.items():
            assert value.dtype == torch.float64
            torch.testing.assert_close(other[name], value, rtol=1e-6, atol=1e-6, msg=name)
