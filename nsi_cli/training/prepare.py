"""What a training stands on, checked and made before its first step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from lightning_fabric import Fabric

from nsi_cli.data.store import Store
from nsi_cli.errors import ConfigError
from nsi_cli.models.backbone import Backbone, build_backbone
from nsi_cli.models.nsi import NSI, build_nsi
from nsi_cli.plugins.contract import Task
from nsi_cli.training.config import TrainConfig

TRAIN, VAL = "train", "val"


@dataclass(frozen=True)
class Prepared:
    """What a training stands on, made before its first step."""

    config: TrainConfig
    task: Task
    store: Store
    backbone: Backbone
    model: NSI
    fabric: Fabric


def check(config: TrainConfig, store: Store) -> list[str]:
    """Raise `ConfigError` where options and store do not fit; return what deserves a warning."""
    if config.task != store.task:
        raise ConfigError(
            f"store {store.path} is of task '{store.task}', not '{config.task}'",
            f"train with --task {store.task}, or name another store with --data",
        )
    if config.image_size != store.image_size:
        raise ConfigError(
            f"store {store.path} has images of {store.image_size} pixels, image_size is "
            f"{config.image_size}",
            f"train with --image-size {store.image_size}, or build the store anew",
        )
    most = max(int(store.primitives(split)[1].max(initial=0)) for split in store.splits)
    if most > config.max_program_len:
        raise ConfigError(
            f"scenes of up to {most} objects, max_program_len is {config.max_program_len}",
            f"train with --max-program-len {most}",
        )
    warnings = []
    if config.num_slots < most:
        warnings.append(
            f"{config.num_slots} slots for scenes of up to {most} objects: objects will have to "
            f"share slots, so grounding suffers; --num-slots {most + 1} has one for each and one "
            "for the background"
        )
    if store.count(TRAIN) < config.batch_size:
        warnings.append(
            f"{store.count(TRAIN)} training scenes make one batch, smaller than "
            f"--batch-size {config.batch_size}"
        )
    if VAL not in store.splits:
        warnings.append("the store has no val split: the training loss chooses the best checkpoint")
    return warnings


def prepare(config: TrainConfig, task: Task, store: Store) -> Prepared:
    """Build the model and its surroundings from the seed."""
    fabric = Fabric(accelerator=config.accelerator, devices=1, precision=config.precision)  # type: ignore[arg-type]
    fabric.launch()
    backbone = build_backbone(config)
    torch.manual_seed(config.seed)
    model = build_nsi(
        config,
        store.schema,
        task.load_schema_encoder(),
        num_tokens=backbone.num_tokens,
        channels=backbone.channels,
    )
    return Prepared(config, task, store, backbone.to(fabric.device), model, fabric)
