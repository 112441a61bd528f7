"""Starting the processes of a training: alone, on several devices, by torchrun or by SLURM."""

from __future__ import annotations

import atexit
import logging
import os

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import distributed

from nsi_cli.support.errors import ConfigError
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.precision import precision_plugin


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
