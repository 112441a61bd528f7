"""What is started: one process, as many as asked for, or what a launcher has started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from nsi_cli.support.errors import ConfigError
from nsi_cli.training import distributed as launch_module
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.distributed import emulates_bfloat16, launch, precision_plugin

TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}
SLURM = {
    "SLURM_NTASKS": "6", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "3",
    "SLURM_JOB_NAME": "train",
}  # fmt: skip


# Both processes write to one pipe: each line is a single write, so that lines never mix.
_TWO = """
import atexit, os
from torch import distributed
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.distributed import launch

if __name__ == "__main__":
    def tell(yes, no):
        os.write(1, yes if distributed.is_initialized() else no)
    atexit.register(tell, b"there\\n", b"ended\\n")
    launch(TrainConfig(task="test", accelerator="cpu"))
    tell(b"met\\n", b"alone\\n")
"""


class Started:
    """Stands for Fabric: remembers what it was asked for."""

    world_size = 1
    device = torch.device("cpu")

    def __init__(self, **asked: object) -> None:
        self.asked = asked

    def launch(self) -> None:
        """Starts nothing."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(launch_module, "Fabric", Started)
    return monkeypatch


def layout(**options: object) -> tuple[object, object]:
    result = launch(TrainConfig(task="test", accelerator="cpu", **options)).asked  # type: ignore
    return result["devices"], result["num_nodes"]


def test_one_process_is_started_unless_more_are_asked_for(asked: pytest.MonkeyPatch) -> None:
    assert layout() == (1, 1)
    assert layout(devices="3", num_nodes=2) == (3, 2)


def test_what_torchrun_started_is_taken(asked: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        asked.setenv(name, value)
    assert layout() == (4, 2)
    assert layout(devices="4", num_nodes=2) == (4, 2)


def test_what_slurm_started_is_taken(asked: pytest.MonkeyPatch) -> None:
    for name, value in SLURM.items():
        asked.setenv(name, value)
    assert layout() == (3, 2)
    asked.setenv("SLURM_NTASKS", "1")
    assert layout(devices="2") == (2, 1)


def test_a_number_that_is_not_the_launchers_is_refused(asked: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        asked.setenv(name, value)
    with pytest.raises(ConfigError, match="started 4 processes on each of 2 machines") as result:
        layout(devices="3")
    assert "leave both out" in result.value.hint


@pytest.mark.slow
def test_no_thread_that_talks_to_the_others_is_left_when_python_ends(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_TWO)
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *words, program], capture_output=True, text=True, check=False
    )
    assert sorted(done.stdout.split()) == ["ended", "ended", "met", "met"], done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_a_device_that_is_not_there_is_one_line() -> None:
    with pytest.raises(ConfigError, match="no cuda device was found"):
        launch(TrainConfig(task="test", accelerator="cuda"))


def test_what_fabric_refuses_is_one_line(asked: pytest.MonkeyPatch) -> None:
    def refuse(**asked: object) -> None:
        raise TypeError("these do\nnot fit")

    asked.setattr(launch_module, "Fabric", refuse)
    with pytest.raises(ConfigError, match="cannot be started: these do not fit"):
        layout()


class Seen(nn.Module):
    """Returns what came in, beside a product."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.product = self.layer(x).dtype
        return x, self.layer(x)


@pytest.mark.parametrize(
    ("precision", "computed"),
    [
        ("32", torch.float32),
        ("bf16-mixed", torch.bfloat16),
        ("16-mixed", torch.float16),
    ],
)
def test_ids_that_half_precision_has_no_number_for_arrive(
    precision: str, computed: torch.dtype
) -> None:
    fabric = Fabric(accelerator="cpu", devices=1, plugins=precision_plugin(precision, "cpu"))
    module = Seen()
    seen, _ = fabric.setup(module)(torch.tensor([[2049.0]]))
    assert seen.item() == 2049
    assert module.product == computed


@pytest.mark.parametrize(
    ("device", "capability", "emulated"),
    [("cpu", "AVX2", True), ("cpu", "AVX512", False), ("cuda", "AVX2", False)],
)
def test_processors_without_avx_512_emulate_bfloat16(
    device: str, capability: str, emulated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert emulates_bfloat16(torch.device(device)) is emulated
