"""The options of a training; those of the model are declared in `ModelConfig`."""

from __future__ import annotations

from dataclasses import dataclass

from nsi_cli.models.config import ModelConfig
from nsi_cli.support.options import option

_RUN = "Run"
_OPTIMISATION = "Optimisation"
_MACHINE = "Machine"


@dataclass(frozen=True)
class TrainConfig(ModelConfig):
    """A training run. The defaults are the published ones."""

    task: str = option("", help="Name of the task; nsi tasks lists them.", group=_RUN)
    data: str = option("", help="Store to train on (data/TASK).", group=_RUN)
    seed: int = option(
        0, ge=0, lt=2**32, help="Seed of weights, data order and slot noise.", group=_RUN
    )

    batch_size: int = option(
        128, ge=1, le=65_536, help="Scenes per step, over all devices.", group=_OPTIMISATION
    )
    epochs: int = option(
        300, ge=1, le=1_000_000, help="Passes over the training split.", group=_OPTIMISATION
    )
    lr: float = option(4e-4, gt=0, le=1e30, help="Learning rate of Adam.", group=_OPTIMISATION)
    lr_warmup_steps: int = option(
        10_000,
        ge=0,
        le=10**9,
        help="Steps over which the learning rate rises from 0.",
        group=_OPTIMISATION,
    )
    patience: int = option(
        4,
        ge=1,
        le=1_000_000,
        help="Epochs without a better validation loss before the learning rate falls.",
        group=_OPTIMISATION,
    )
    lr_factor: float = option(
        0.5, gt=0, le=1, help="Factor by which the learning rate falls.", group=_OPTIMISATION
    )
    grad_clip: float = option(
        1.0, gt=0, le=1e30, help="Largest norm of the gradient.", group=_OPTIMISATION
    )
    clip: str = option(
        "both",
        choices=("both", "image-encoder"),
        help="Gradient that is clipped: that of both encoders by their joint norm, or that of the "
        "image encoder only.",
        group=_OPTIMISATION,
    )
    tau: float = option(
        0.1, gt=0, le=1e30, help="Temperature of the contrastive loss.", group=_OPTIMISATION
    )
    contrastive_weight: float = option(
        1.0,
        ge=0,
        le=1e30,
        help="Weight of the contrastive loss; 0 trains slots by reconstruction alone.",
        group=_OPTIMISATION,
    )
    beta: float = option(
        1.0, ge=0, le=1e30, help="Weight of the reconstruction loss.", group=_OPTIMISATION
    )
    annotated: float = option(
        1.0,
        gt=0,
        le=1,
        help="Share of the training scenes whose annotation is used; the rest trains the "
        "reconstruction only.",
        group=_OPTIMISATION,
    )

    accelerator: str = option(
        "auto", choices=("auto", "cpu", "cuda", "mps"), help="Device kind.", group=_MACHINE
    )
    devices: str = option(
        "auto",
        pattern=("auto|[1-9][0-9]?", "auto or a number from 1 to 99"),
        help="Number of devices, or auto: one, or what torchrun or SLURM started.",
        group=_MACHINE,
    )
    num_nodes: int = option(1, ge=1, le=1024, help="Machines that train together.", group=_MACHINE)
    strategy: str = option(
        "auto",
        choices=("auto", "ddp", "ddp_find_unused_parameters_true"),
        help="Strategy of training on several devices.",
        group=_MACHINE,
    )
    precision: str = option(
        "32",
        choices=("32", "bf16-mixed", "16-mixed", "64"),
        help="Precision of the computation.",
        group=_MACHINE,
    )
    compile: bool = option(
        False, help="Compile the model: slow to start, faster at each step.", group=_MACHINE
    )
    micro_batch_size: int = option(
        0,
        ge=0,
        le=65_536,
        help="Scenes put through the model at a time, to save memory; 0 for all of a process. The "
        "contrastive loss still covers the whole batch, exactly.",
        group=_MACHINE,
    )
    num_workers: int = option(1, ge=0, le=256, help="Processes that read batches.", group=_MACHINE)
    feature_cache: str = option(
        "auto",
        help="Folder of the cached features of the frozen backbone; auto: the store, if "
        "they fit on the disk; off: no cache.",
        group=_MACHINE,
    )
    checkpoint_minutes: float = option(
        10.0, gt=0, le=1e6, help="Minutes between checkpoints within an epoch.", group=_MACHINE
    )
    keep_last: int = option(1, ge=1, le=1_000_000, help="Newest checkpoints kept.", group=_MACHINE)
    on_nonfinite: str = option(
        "stop",
        choices=("stop", "skip"),
        help="Action on a non-finite loss or gradient: stop the training, or skip the step. The "
        "batch is saved.",
        group=_MACHINE,
    )
    log_every: int = option(10, ge=1, le=10**9, help="Steps between logged losses.", group=_MACHINE)
    pictures_every: int = option(
        5,
        ge=0,
        le=1_000_000,
        help="Epochs between logged slot-mask pictures; 0 for none.",
        group=_MACHINE,
    )

    def faults(self) -> list[str]:
        """What does not fit together, one line each."""
        found = super().faults()
        if not self.task:
            found.append("no task is named (--task NAME; nsi tasks lists them)")
        return found
