"""The options of a training; those of the model are declared in `ModelConfig`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from nsi_cli.models.config import ModelConfig
from nsi_cli.support.options import declared_options, option

_RUN = "Run"
_OPTIMISATION = "Optimisation"
_MACHINE = "Machine"


@dataclass(frozen=True)
class TrainConfig(ModelConfig):
    """A training run. The defaults are the published ones."""

    task: str = option("", help="Name of the task; nsi tasks lists them.", group=_RUN)
    data: str = option("", help="Store to train on; by default data/TASK.", group=_RUN)
    seed: Annotated[int, Interval(ge=0, lt=2**32)] = option(
        0, help="Seed of weights, data order and slot noise.", group=_RUN
    )

    batch_size: Annotated[int, Interval(ge=1, le=65_536)] = option(
        128, help="Number of scenes per step, over all devices.", group=_OPTIMISATION
    )
    epochs: Annotated[int, Interval(ge=1, le=1_000_000)] = option(
        300, help="Number of passes over the training split.", group=_OPTIMISATION
    )
    lr: Annotated[float, Interval(gt=0, le=1e30)] = option(
        4e-4, help="Learning rate of Adam.", group=_OPTIMISATION
    )
    lr_warmup_steps: Annotated[int, Interval(ge=0, le=10**9)] = option(
        10_000,
        help="Steps over which the learning rate rises from 0.",
        group=_OPTIMISATION,
    )
    patience: Annotated[int, Interval(ge=1, le=1_000_000)] = option(
        4,
        help="Epochs without a better validation loss before the learning rate falls.",
        group=_OPTIMISATION,
    )
    lr_factor: Annotated[float, Interval(gt=0, le=1)] = option(
        0.5, help="Factor by which the learning rate falls.", group=_OPTIMISATION
    )
    grad_clip: Annotated[float, Interval(gt=0, le=1e30)] = option(
        1.0, help="Largest norm of the gradient.", group=_OPTIMISATION
    )
    clip: Literal["both", "image-encoder"] = option(
        "both",
        help="Which gradient is clipped: that of both encoders by their joint norm, or that of the "
        "image encoder only.",
        group=_OPTIMISATION,
    )
    tau: Annotated[float, Interval(gt=0, le=1e30)] = option(
        0.1, help="Temperature of the contrastive loss.", group=_OPTIMISATION
    )
    contrastive_weight: Annotated[float, Interval(ge=0, le=1e30)] = option(
        1.0,
        help="Weight of the contrastive loss; 0 trains slots by reconstruction alone.",
        group=_OPTIMISATION,
    )
    beta: Annotated[float, Interval(ge=0, le=1e30)] = option(
        1.0, help="Weight of the reconstruction loss.", group=_OPTIMISATION
    )
    decode_tokens: Annotated[int, Interval(ge=0, le=10**6)] = option(
        0,
        help="Number of tokens of each scene that a training step reconstructs: a new random "
        "sample at each step, which estimates the loss over all tokens without bias; 0 for all.",
        group=_OPTIMISATION,
    )
    label_fraction: Annotated[float, Interval(gt=0, le=1)] = option(
        1.0,
        help="Fraction of the training scenes whose annotation is used; the others train the "
        "reconstruction only.",
        group=_OPTIMISATION,
        old_name="annotated",
    )

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = option(
        "auto", help="Kind of device.", group=_MACHINE
    )
    devices: str = option(
        "auto",
        pattern=("auto|[1-9][0-9]?", "auto or a number from 1 to 99"),
        help="Number of devices per machine. auto: one, or as many as torchrun or SLURM started.",
        group=_MACHINE,
    )
    num_nodes: Annotated[int, Interval(ge=1, le=1024)] = option(
        1, help="Number of machines that train together.", group=_MACHINE
    )
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = option(
        "auto",
        help="How several devices train together.",
        group=_MACHINE,
    )
    precision: Literal["32", "bf16-mixed", "16-mixed", "64"] = option(
        "32",
        help="Precision of the computation.",
        group=_MACHINE,
    )
    compile: bool = option(
        False,
        help="Compile the model: a slower start, faster steps.",
        group=_MACHINE,
    )
    micro_batch_size: Annotated[int, Interval(ge=0, le=65_536)] = option(
        0,
        help="Number of scenes that go through the model at a time, to save memory; 0 for all of a "
        "process. The contrastive loss still covers the whole batch.",
        group=_MACHINE,
    )
    num_workers: Annotated[int, Interval(ge=0, le=256)] = option(
        1, help="Number of processes that read batches.", group=_MACHINE
    )
    feature_cache: str = option(
        "auto",
        help="Folder of the cached features of the frozen backbone. auto: a folder in the store, "
        "if they fit on the disk. off: no cache.",
        group=_MACHINE,
    )
    checkpoint_minutes: Annotated[float, Interval(gt=0, le=1e6)] = option(
        10.0, help="Minutes between checkpoints within an epoch.", group=_MACHINE
    )
    keep_last: Annotated[int, Interval(ge=1, le=1_000_000)] = option(
        1, help="Number of newest checkpoints to keep.", group=_MACHINE
    )
    on_nonfinite: Literal["stop", "skip"] = option(
        "stop",
        help="Action on a non-finite loss or gradient: stop the training, or skip the step. The "
        "batch is saved.",
        group=_MACHINE,
    )
    log_every: Annotated[int, Interval(ge=1, le=10**9)] = option(
        10, help="Number of steps between logged losses.", group=_MACHINE
    )
    pictures_every: Annotated[int, Interval(ge=0, le=1_000_000)] = option(
        5,
        help="Number of epochs between logged pictures of slot masks; 0 for none.",
        group=_MACHINE,
    )

    def faults(self) -> list[str]:
        """What does not fit together, one line each."""
        found = super().faults()
        if not self.task:
            found.append("no task is named (--task NAME; nsi tasks lists them)")
        return found


def settings_of(config: TrainConfig) -> dict[str, object]:
    """The options that can change a training's result, without the seed and the paths."""
    return {
        item.name: getattr(config, item.name)
        for item in declared_options(TrainConfig)
        if item.option.group not in (_RUN, _MACHINE)
    }
