"""The toolkit's own training step, with the code that `nsi train` runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from lightning_fabric import Fabric

from nsi_cli.data.loading.batch import Batch
from nsi_cli.models.backbones.base import Backbone
from nsi_cli.models.build import build
from nsi_cli.models.nsi import NSI
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.schema import Schema
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.distributed import launch
from nsi_cli.training.step import LOSS, Step


@dataclass(frozen=True)
class OurStep:
    """One training step: ``run`` takes a batch from the loader and returns the loss."""

    run: Callable[[Batch], float]
    update: Callable[[], None]  # clipping and Adam, on the current gradients
    autocast: Callable[[], AbstractContextManager[None]]
    model: NSI
    backbone: Backbone
    device: torch.device
    dtype: torch.dtype  # the dtype of matrix products


def our_step(
    config: TrainConfig, schema: Schema, *, compiled: bool, fabric: Fabric | None = None
) -> OurStep:
    """Set up a training step as `nsi train` does; ``fabric`` replaces the one it would launch.

    If several processes train together, each takes its share of the batch that ``run`` gets.
    """
    config = replace(config, compile=compiled)
    fabric = fabric or launch(config)
    backbone, model = build(
        config, schema, PropertySchemaEncoder, precision=config.precision, seed=config.seed
    )
    backbone = backbone.to(fabric.device)
    step = Step(config, model, backbone, fabric)

    def update() -> None:
        step.update({}, config.lr)

    def run(host: Batch) -> float:
        share = step.group.share(len(host))
        own = host.rows(slice(share.start, share.stop))
        batch = own.map(lambda tensor: tensor.to(fabric.device, non_blocking=True))
        annotated = torch.ones(len(batch), dtype=torch.bool, device=fabric.device)
        told = step.train(batch, annotated, 0, len(host))
        step.update(told, config.lr)
        return told[LOSS]

    dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(
        config.precision, torch.float32
    )
    return OurStep(run, update, fabric.autocast, model, backbone, fabric.device, dtype)
