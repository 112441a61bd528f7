"""Opening a run: its options, store, backbone, and model with the weights of a checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch

from nsi_cli.data.build.differences import differences
from nsi_cli.data.store.reader import Store, open_store
from nsi_cli.interpretation.exported import read_known
from nsi_cli.interpretation.loaded_run import LoadedRun
from nsi_cli.models.build import build
from nsi_cli.plugins.discovery.registry import TaskRegistry
from nsi_cli.support.errors import DataError
from nsi_cli.support.progress import SILENT, Progress
from nsi_cli.training.checkpoint import BEST, load_weights, restore, store_warnings
from nsi_cli.training.run import Run, is_export, open_run


def load_run(
    path: Path,
    registry: TaskRegistry,
    *,
    data: Path | None = None,
    checkpoint: str = BEST,
    progress: Progress = SILENT,
) -> LoadedRun:
    """Open a run at a checkpoint, with its store or the one at ``data``.

    The model is on the run's device. Notes the differences in how the store at ``data`` was built,
    and whether the run's own store was replaced.
    Raises `DataError` if the run, its checkpoint or the store is missing, or if the store has
    another schema or image size, and `ConfigError` for an unknown checkpoint name.
    """
    run = open_run(path)
    config, task = run.config, registry.task(run.config.task)
    known = read_known(path) if is_export(path) else None
    folder = path if known is not None else run.checkpoint(checkpoint)
    weights = load_weights(folder)
    store = None
    if known is None or data is not None:
        store = _open_store(run, data)
    if known is None and store is not None:
        trained_on = Path(config.data)
        lines = differences(task, trained_on, store) if data else store_warnings(folder, store)
        for line in lines:
            progress.note(line)
    encoder = task.load_schema_encoder()
    backbone, model = build(
        config, run.schema, encoder, precision=config.precision, seed=config.seed
    )
    restore(model, weights, folder)
    device = _device(config.accelerator, progress)
    backbone, model = backbone.to(device), model.to(device).eval()
    return LoadedRun(run, checkpoint, task, store, backbone, model, known)


def _open_store(run: Run, data: Path | None) -> Store:
    """The run's store, or the one at ``data``, which must fit the run."""
    config = run.config
    store = open_store(data or Path(config.data), config.task)
    run.check_schema(store.schema, store.path)
    if store.image_size != config.image_size:
        raise DataError(
            f"store {store.path} has images of {store.image_size} pixels, run {run.path} was "
            f"trained on {config.image_size}",
            f"build it again with --image-size {config.image_size}",
        )
    return store


def _device(accelerator: str, progress: Progress) -> str:
    """The device that a run was trained on; the CPU, with a note, if this machine lacks it."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if accelerator == "auto":
        return "cuda" if there["cuda"] else "cpu"
    if there.get(accelerator, True):
        return accelerator
    progress.note(f"note: this machine has no {accelerator} device; the CPU is used")
    return "cpu"
