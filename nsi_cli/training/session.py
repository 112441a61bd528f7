"""A training from start or resume to its end: processes, lock, checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nsi_cli.data.store.reader import open_store
from nsi_cli.plugins.discovery.registry import TaskRegistry
from nsi_cli.support.errors import ConfigError, Interrupted
from nsi_cli.support.processes import is_first_process
from nsi_cli.support.progress import SILENT, Progress
from nsi_cli.training.checkpoint import has_checkpoint, load_state, make_last
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.distributed import emulates_bfloat16
from nsi_cli.training.prepare import Prepared, check, prepare
from nsi_cli.training.run import Run, create_run, is_export, open_run, run_lock, write_config
from nsi_cli.training.step import Metrics
from nsi_cli.training.trainer import Trainer


def start(
    config: TrainConfig, out: Path, registry: TaskRegistry, progress: Progress = SILENT
) -> Run:
    """Train a new run at ``out``.

    Raises `ConfigError` and `DataError` before anything is written, and `Interrupted`, with the
    run, after a signal.
    """
    prepared = _prepared(config, registry, progress)
    group = prepared.group
    out = Path(group.broadcast(str(out)))  # a time in its name differs between machines
    run = Run(out, config, prepared.store.schema)
    group.run_on_first(lambda: create_run(out, config, run.schema))
    progress.note(f"run: {run.path}")
    with run_lock(run.path, first=is_first_process()):
        _fit(Trainer(prepared, run, progress=progress), run)
    return run


def resume(
    path: Path,
    registry: TaskRegistry,
    *,
    epochs: int | None = None,
    checkpoint: str = "last",
    progress: Progress = SILENT,
) -> tuple[Run, bool]:
    """Resume a run, up to ``epochs`` if they are given; returns it, and whether it trained.

    A run that was stopped before its first checkpoint starts from the beginning. A finished run
    is left as it is.
    """
    run = _with_epochs(open_run(path), epochs)
    if is_export(path):
        raise ConfigError(
            f"{path} is an export, which has no state of the training",
            "resume the run that it was exported from",
        )
    folder = run.checkpoint(checkpoint)
    with run_lock(run.path, first=is_first_process()):
        loaded = load_state(folder) if folder != run.last or has_checkpoint(folder) else None
        if loaded is not None and loaded[1].epoch >= run.config.epochs:
            return run, False
        trainer = _trainer(run, registry, progress)
        trainer.group.run_on_first(
            lambda: _before(run, folder, restart=loaded is None, extended=epochs is not None)
        )
        if loaded is None:
            progress.note(f"{run.path} has no checkpoint yet: it starts from the beginning")
        else:
            trainer.resume(loaded)
        _fit(trainer, run)
    return run, True


def dry_run(config: TrainConfig, registry: TaskRegistry, progress: Progress = SILENT) -> Metrics:
    """The metrics of one batch, forward and backward; nothing is written."""
    prepared = _prepared(config, registry, progress)
    run = Run(Path(), config, prepared.store.schema)
    return Trainer(prepared, run, progress=progress).dry_run()


def _with_epochs(run: Run, epochs: int | None) -> Run:
    """The run with more epochs. Raises `ConfigError` for fewer than it has."""
    if epochs is not None and epochs < run.config.epochs:
        raise ConfigError(
            f"run {run.path} has {run.config.epochs} epochs, more than --epochs {epochs}",
            "leave --epochs out, or ask for more",
        )
    return replace(run, config=replace(run.config, epochs=epochs or run.config.epochs))


def _trainer(run: Run, registry: TaskRegistry, progress: Progress) -> Trainer:
    """The trainer of an existing run. Raises `DataError` if its store has another schema."""
    prepared = _prepared(run.config, registry, progress)
    run.check_schema(prepared.store.schema, prepared.store.path)
    return Trainer(prepared, run, progress=progress)


def _before(run: Run, folder: Path, *, restart: bool, extended: bool) -> None:
    """Make the chosen checkpoint the last one, and record a new number of epochs."""
    if not restart:
        make_last(run.last, folder)
    if extended:
        write_config(run)


def _fit(trainer: Trainer, run: Run) -> None:
    """Train to the end. Raises `Interrupted`, with the run, after a signal."""
    try:
        trainer.fit()
    except Interrupted as error:
        error.run = run.path
        raise


def _prepared(config: TrainConfig, registry: TaskRegistry, progress: Progress) -> Prepared:
    task = registry.task(config.task)
    store = open_store(Path(config.data), config.task)
    for warning in check(config, store):
        progress.note(f"warning: {warning}")
    prepared = prepare(config, task, store)
    if config.precision == "bf16-mixed" and emulates_bfloat16(prepared.fabric.device):
        progress.note(
            "warning: this processor has no bfloat16 instructions and emulates them, which is very "
            "slow; --precision 32 is faster"
        )
    return prepared
