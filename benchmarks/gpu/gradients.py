"""Whether a training step computes the same on a device as on the CPU.

A step on cached features starts from the same weights and draws on both.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from gpu.sizes import Rows, options
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from safetensors.torch import load_file, save_file
from tools.our_step import our_step
from torch import Tensor
from train_step import SCHEMA, scenes

from nsi_cli.training.config import TrainConfig
from nsi_cli.training.distributed import precision_plugin

Gradient = dict[str, Tensor]
"""The loss, and the gradient of each parameter, on the CPU."""

CHECKED = 8
"""Scenes of the batch whose gradient is compared with that of the CPU."""
EXACT, ROUNDED = 1e-3, 0.1
"""The largest relative errors of a gradient, in float32 and with products in bfloat16."""


def checked_options(asked: argparse.Namespace, **changes: Any) -> TrainConfig:
    """Options whose gradient depends smoothly on rounding, and is not clipped."""
    grid = 4 if asked.tiny else 28
    smooth = {"backbone": "texture", "texture_grid": grid, "tau": 5.0, "dropout": 0.0}
    return options(asked, **smooth, grad_clip=1e9, batch_size=CHECKED, **changes)


def gradient(config: TrainConfig, *, compiled: bool = False, fabric: Any = None) -> Gradient:
    """The loss and gradient of the first step; the batch is the same for all options."""
    step = our_step(config, SCHEMA, compiled=compiled, fabric=fabric)
    torch.manual_seed(1)
    _, batch = scenes(config, step.backbone.num_tokens, step.backbone.channels, "cpu")
    loss = step.run(replace(batch, images=None))
    found = {"loss": torch.tensor(loss)}
    for name, parameter in step.model.named_parameters():
        found[name] = parameter.grad.detach().float().cpu().clone()
    return found


def compared(asked: argparse.Namespace, found: Gradient, limit: float, **changes: Any) -> Rows:
    """The relative errors of a loss and a gradient, as a row."""
    wanted = gradient(checked_options(asked, **{**changes, "accelerator": "cpu"}))
    loss, right = found.pop("loss"), wanted.pop("loss")
    flat = torch.cat([found[name].flatten() for name in wanted])
    target = torch.cat([value.flatten() for value in wanted.values()])
    error = ((flat - target).norm() / target.norm()).item()
    loss_error = ((loss - right).abs() / right.abs()).item()
    row = {"loss error": loss_error, "gradient error": error, "limit": limit}
    return {"": {**row, "within": max(error, loss_error) <= limit}}


def check(
    limit: float, *, compiled: bool = False, everywhere: dict[str, Any] | None = None, **here: Any
) -> Callable[[argparse.Namespace], Rows]:
    """A case: options of the device, and options of both the device and the CPU."""

    def run(asked: argparse.Namespace) -> Rows:
        both = everywhere or {}
        found = gradient(checked_options(asked, **both, **here), compiled=compiled)
        return compared(asked, found, limit, **both)

    return run


def two_processes(asked: argparse.Namespace) -> Rows:
    """Two processes share the device, and communicate as two machines do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "gradient.safetensors"
        ranks = [
            subprocess.Popen(
                [sys.executable, *sys.argv, "--rank", str(out)],
                env={
                    **os.environ, "RANK": str(rank), "GROUP_RANK": str(rank), "WORLD_SIZE": "2",
                    "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "gpu_day",
                },
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )
            for rank in range(2)
        ]  # fmt: skip
        for rank in ranks:
            text = rank.communicate()[1]
            print(text, file=sys.stderr)
            if rank.returncode:
                for other in ranks:
                    other.kill()  # it would wait for this one
                raise RuntimeError((text.strip().splitlines() or ["no message"])[-1])
        return compared(asked, load_file(out), EXACT)


def save_gradient(asked: argparse.Namespace) -> None:
    """Be one of two processes; the first writes the gradient. NCCL needs a device for each."""
    config = checked_options(asked)
    fabric = Fabric(
        accelerator=config.accelerator, devices=1, num_nodes=2,
        strategy=DDPStrategy(process_group_backend="gloo"),
        plugins=precision_plugin(config.precision, config.accelerator),
    )  # fmt: skip
    fabric.launch()
    found = gradient(config, fabric=fabric)
    if fabric.global_rank == 0:
        save_file(found, asked.rank)
    fabric.barrier()
    torch.distributed.destroy_process_group()
