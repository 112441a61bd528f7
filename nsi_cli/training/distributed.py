"""The processes of a training: how they are started, and how they communicate."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor, distributed
from torch.nn import functional as F

from nsi_cli.data.loading.loader import part_of
from nsi_cli.support.errors import ConfigError, NsiError
from nsi_cli.support.memory import keep_freed_memory
from nsi_cli.training.config import TrainConfig


class _Gathered(torch.autograd.Function):
    """(n, …) of each of ``count`` processes → (count, n, …); the gradients back are summed."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, rank: int, count: int) -> Tensor:
        """Gather the tensors of all processes, which have one shape."""
        ctx.rank = rank
        parts = [torch.empty_like(own) for _ in range(count)]
        distributed.all_gather(parts, own.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor, None, None]:
        """The sum of the gradients that all processes have for this one's tensor."""
        pull = pull.contiguous()
        distributed.all_reduce(pull)
        return pull[ctx.rank], None, None


class ProcessGroup:
    """``count`` processes that train together, of which this one is number ``rank``.

    Every method but `share` must be called by all of them, in the same order. A single process
    communicates with no other.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.rank, self.count = fabric.global_rank, fabric.world_size

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def share(self, size: int) -> range:
        """The positions in a global batch of ``size`` scenes that this process holds."""
        return part_of(size, (self.rank, self.count))

    def gather(self, own: Tensor, size: int) -> Tensor:
        """The rows of all processes, in order: (n, …) of each → (size, …), differentiable.

        The gradient that reaches a row is the sum of what it gets in every process.
        """
        if self.count == 1:
            return own
        lengths = [len(part_of(size, (rank, self.count))) for rank in range(self.count)]
        padding = (0, 0) * (own.ndim - 1) + (0, max(lengths) - len(own))
        parts: Tensor = _Gathered.apply(F.pad(own, padding), self.rank, self.count)
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    def all_sum(self, values: Sequence[Tensor]) -> list[float]:
        """The sums over all processes of some numbers, as plain numbers."""
        sums = torch.stack([value.detach().double() for value in values])
        if self.count > 1:
            distributed.all_reduce(sums)
        return [float(number) for number in sums.tolist()]

    def any_of(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is true in any process."""
        if self.count == 1:
            return list(flags)
        counts = torch.tensor(flags, dtype=torch.float32, device=self._fabric.device)
        distributed.all_reduce(counts)
        return [bool(number) for number in counts.tolist()]

    def broadcast(self, text: str) -> str:
        """The first process's text, in every process."""
        return text if self.count == 1 else str(self._fabric.broadcast(text))

    def run_on_first(self, action: Callable[[], object]) -> None:
        """Run an action in the first process while the others wait; if it fails, all fail.

        Raises the `NsiError` of the first process, and in the others a `ConfigError` of the same
        text, which they do not print.
        """
        fault: NsiError | None = None
        if self.first:
            try:
                action()
            except NsiError as error:
                fault = error
        message = self.broadcast(fault.message if fault else "")
        if fault:
            raise fault
        if message:
            raise ConfigError(message)


class UnroundedMixed(MixedPrecision):
    """Mixed precision that leaves the batch in float32.

    Fabric's own rounds it to half precision first. But bfloat16 cannot represent an id above 256,
    and features are the target of the reconstruction.
    """

    def convert_input(self, data: Any) -> Any:
        """Return the model's input unchanged."""
        return data


def precision_plugin(precision: str, accelerator: str) -> Precision:
    """Fabric's plugin for ``precision`` on an ``accelerator`` (auto: a GPU, if there is one).

    For 64 the model itself is converted (see `prepare`): Fabric's plugin would round its outputs
    to float32.
    """
    if precision in ("32", "64"):
        return Precision()
    device = accelerator
    if accelerator == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return UnroundedMixed("16-mixed" if precision == "16-mixed" else "bf16-mixed", device)


def emulates_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are emulated, as on processors without AVX-512.

    A product of matrices then takes up to a hundred times as long as in float32.
    """
    return device.type == "cpu" and torch.backends.cpu.get_cpu_capability() in ("NO AVX", "AVX2")


def launch(config: TrainConfig) -> Fabric:
    """Start a process for each device that ``config`` asks for.

    If torchrun or SLURM started the processes, those are used; else this process starts the
    others, which run the same command. Raises `ConfigError` for a device that does not exist, or
    numbers that differ from the launcher's.
    """
    devices, nodes = _layout(config)
    _check_accelerator(config.accelerator)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it prints a greeting
    try:
        fabric = Fabric(
            accelerator=config.accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=config.strategy,
            plugins=precision_plugin(config.precision, config.accelerator),
        )
        fabric.launch()
    except Exception as error:  # Fabric raises many types
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"the processes of the training cannot be started: {reason}",
            "check --devices, --num-nodes and --strategy, and the launcher's own numbers",
        ) from error
    if fabric.device.type == "cpu":
        keep_freed_memory()
    if fabric.world_size > 1:
        atexit.register(_leave)
    return fabric


def _leave() -> None:
    """End the communication threads.

    They hold tensors, and one that releases them while Python exits aborts the process.
    """
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _layout(config: TrainConfig) -> tuple[int, int]:
    """Devices per machine and machines, from the options or from a launcher."""
    started = _started()
    requested = None if config.devices == "auto" else int(config.devices)
    if started is None:
        return requested or 1, config.num_nodes
    devices, nodes = started
    if requested not in (None, devices) or config.num_nodes not in (1, nodes):
        raise ConfigError(
            f"--devices {config.devices} and --num-nodes {config.num_nodes}, but the launcher "
            f"started {devices} processes on each of {nodes} machines",
            "leave both out, to use the launcher's numbers",
        )
    return devices, nodes


def _started() -> tuple[int, int] | None:
    """Processes per machine and machines that torchrun or SLURM started; None if neither did."""
    environment = os.environ
    try:
        if TorchElasticEnvironment.detect():
            devices = int(environment["LOCAL_WORLD_SIZE"])
            return devices, int(environment["WORLD_SIZE"]) // devices
        if SLURMEnvironment.detect() and int(environment["SLURM_NTASKS"]) > 1:
            nodes = int(environment.get("SLURM_NNODES", environment.get("SLURM_JOB_NUM_NODES", 1)))
            return int(environment["SLURM_NTASKS"]) // nodes, nodes
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"the launcher's environment variables cannot be read: {error}",
            "start with torchrun, with srun, or with neither",
        ) from None
    return None


def _check_accelerator(name: str) -> None:
    """Raise `ConfigError` for a kind of device that this machine lacks."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(name, True):
        raise ConfigError(
            f"no {name} device was found", "leave --accelerator out, or use --accelerator cpu"
        )
