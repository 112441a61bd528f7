"""What a training stands on, checked and made before its first step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from lightning_fabric import Fabric

from nsi_cli.data.store.reader import Store
from nsi_cli.models.backbones.base import Backbone
from nsi_cli.models.build import build
from nsi_cli.models.nsi import NSI
from nsi_cli.plugins.contract import Task
from nsi_cli.support.errors import ConfigError
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.distributed import ProcessGroup, launch

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

    @cached_property
    def group(self) -> ProcessGroup:
        """The processes that train together."""
        return ProcessGroup(self.fabric)


def check(config: TrainConfig, store: Store) -> list[str]:
    """Raise `ConfigError` where options and store do not fit; return what deserves a warning."""
    if config.task != store.task:
        raise ConfigError(
            f"store {store.path} is of task '{store.task}', not '{config.task}'",
            f"train with --task {store.task}, or name another store with --data",
        )
    if config.image_size != store.image_size:
        raise ConfigError(
            f"store {store.path} has images of {store.image_size} pixels, --image-size is "
            f"{config.image_size}",
            f"train with --image-size {store.image_size}, or build the store again with "
            f"--image-size {config.image_size}",
        )
    store.schema.without(config.excluded)  # raises for an unknown property
    most = max(int(store.primitives(split)[1].max(initial=0)) for split in store.splits)
    if most > config.max_program_len:
        raise ConfigError(
            f"scenes of up to {most} objects, --max-program-len is {config.max_program_len}",
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
    """Start the processes, and build the model and its surroundings from the seed.

    Raises `ConfigError` if there are too few scenes for so many processes, or too few tokens.
    """
    fabric = launch(config)
    _check_shares(config, store, fabric.world_size)
    encoder = task.load_schema_encoder()
    backbone, model = build(
        config, store.schema, encoder, precision=config.precision, seed=config.seed
    )
    if config.decode_tokens > backbone.num_tokens:
        raise ConfigError(
            f"--decode-tokens {config.decode_tokens}, but the backbone has {backbone.num_tokens} "
            "tokens",
            "0 decodes all",
        )
    if config.precision == "64":
        model.double()
    return Prepared(config, task, store, backbone.to(fabric.device), model, fabric)


def _check_shares(config: TrainConfig, store: Store, processes: int) -> None:
    """Every process needs at least one scene of every batch."""
    for split in (TRAIN, VAL):
        size = min(config.batch_size, store.count(split)) if split in store.splits else processes
        if size < processes:
            raise ConfigError(
                f"a batch of {size} scenes (split '{split}') cannot be shared by {processes} "
                "processes",
                f"train with {size} processes at most, or with more scenes",
            )


_PURPOSE = (0x616E6E, 0)  # keeps this draw apart from that of the data order


def annotated_scenes(seed: int, count: int, share: float) -> npt.NDArray[np.bool_]:
    """Which of ``count`` scenes count as annotated, (count,): ``share`` of them, at least one.

    A function of the seed; a smaller share of the same seed is part of a larger one.
    """
    order = np.random.default_rng([seed, *_PURPOSE]).permutation(count)
    chosen = np.zeros(count, bool)
    chosen[order[: max(1, round(share * count))]] = True
    return chosen
