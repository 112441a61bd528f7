"""The processes of a training: starting them, and what one of them knows of the others."""

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
from nsi_cli.training.config import TrainConfig


class _Gathered(torch.autograd.Function):
    """(n, …) of each of ``count`` processes → (count, n, …); the gradients back are summed."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, rank: int, count: int) -> Tensor:
        """Fetch everyone's tensor, all of one shape."""
        ctx.rank = rank
        parts = [torch.empty_like(own) for _ in range(count)]
        distributed.all_gather(parts, own.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor, None, None]:
        """What all processes want of this one's tensor."""
        pull = pull.contiguous()
        distributed.all_reduce(pull)
        return pull[ctx.rank], None, None


class ProcessGroup:
    """``count`` processes that train together, of which this one is number ``rank``.

    Every method but `share` must be called by all of them, in the same order. Alone, a process
    talks to nobody.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.rank, self.count = fabric.global_rank, fabric.world_size

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and tells of progress."""
        return self.rank == 0

    def share(self, size: int) -> range:
        """The places of a global batch of ``size`` scenes that this process holds."""
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

    def totals(self, values: Sequence[Tensor]) -> list[float]:
        """The sums over all processes of some numbers, as plain numbers."""
        told = torch.stack([value.detach().double() for value in values])
        if self.count > 1:
            distributed.all_reduce(told)
        return [float(number) for number in told.tolist()]

    def any(self, *said: bool) -> list[bool]:
        """For each question, whether any process says yes."""
        if self.count == 1:
            return list(said)
        told = torch.tensor(said, dtype=torch.float32, device=self._fabric.device)
        distributed.all_reduce(told)
        return [bool(number) for number in told.tolist()]

    def agreed(self, text: str) -> str:
        """The first process's text, in every process."""
        return text if self.count == 1 else str(self._fabric.broadcast(text))

    def by_first(self, action: Callable[[], object]) -> None:
        """Let the first process do something, and all wait; where it fails, it fails in all.

        Raises the `NsiError` of the first process; in the others a `ConfigError`, so that only
        one of them tells of it.
        """
        fault: NsiError | None = None
        if self.first:
            try:
                action()
            except NsiError as error:
                fault = error
        told = self.agreed(fault.message if fault else "")
        if fault:
            raise fault
        if told:
            raise ConfigError(told)


class UnroundedMixed(MixedPrecision):
    """Mixed precision that hands the batch to the model as it is.

    Fabric's own rounds every number of it to half precision first; but an id above 256 is no
    bfloat16 number, and features are what the reconstruction is measured by.
    """

    def convert_input(self, data: Any) -> Any:
        """What goes into the model, untouched."""
        return data


def precision_plugin(precision: str, accelerator: str) -> Precision:
    """What makes Fabric compute in ``precision`` on an ``accelerator`` (auto: a GPU, if any).

    For 64 the model itself is made so (see `prepare`): Fabric's own would round what comes out
    of it to float32.
    """
    if precision in ("32", "64"):
        return Precision()
    device = accelerator
    if accelerator == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return UnroundedMixed("16-mixed" if precision == "16-mixed" else "bf16-mixed", device)


def launch(config: TrainConfig) -> Fabric:
    """The devices that ``config`` asks for, with a process for each.

    Where torchrun or SLURM has started the processes, they are taken as they are; else this
    process starts the others, which run the same command. Raises `ConfigError` for a device that
    is not there, or numbers that are not those of the launcher.
    """
    devices, nodes = _layout(config)
    _check_accelerator(config.accelerator)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it greets on stderr
    try:
        fabric = Fabric(
            accelerator=config.accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=config.strategy,
            plugins=precision_plugin(config.precision, config.accelerator),
        )
        fabric.launch()
    except Exception as error:  # Fabric has an error of its own for each kind of misfit
        told = " ".join(str(error).split())
        raise ConfigError(
            f"the processes of the training cannot be started: {told}",
            "check --devices, --num-nodes and --strategy, and the launcher's own numbers",
        ) from error
    if fabric.world_size > 1:
        atexit.register(_leave)
    return fabric


def _leave() -> None:
    """End the threads that talk to the other processes.

    They hold tensors, and one that lets go of them while Python ends takes the process with it.
    """
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _layout(config: TrainConfig) -> tuple[int, int]:
    """Devices of a machine and machines, as asked for or as a launcher has started them."""
    started = _started()
    asked = None if config.devices == "auto" else int(config.devices)
    if started is None:
        return asked or 1, config.num_nodes
    devices, nodes = started
    if asked not in (None, devices) or config.num_nodes not in (1, nodes):
        raise ConfigError(
            f"--devices {config.devices} and --num-nodes {config.num_nodes}, but the launcher "
            f"started {devices} processes on each of {nodes} machines",
            "leave both out: the launcher's numbers are then taken",
        )
    return devices, nodes


def _started() -> tuple[int, int] | None:
    """What torchrun or SLURM has started, as processes of a machine and machines."""
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
    """Raise `ConfigError` for a device that is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(name, True):
        raise ConfigError(
            f"no {name} device is at hand", "leave --accelerator out, or take --accelerator cpu"
        )
