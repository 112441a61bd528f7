"""A training from start or resume to its end: processes, lock, checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nsi_cli.data.store.reader import open_store
from nsi_cli.plugins.discovery.registry import TaskRegistry
from nsi_cli.support.errors import ConfigError
from nsi_cli.support.processes import is_first_process
from nsi_cli.support.progress import SILENT, Progress
from nsi_cli.training.checkpoint import go_back, has_checkpoint, load_state
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.interruption import Interrupted
from nsi_cli.training.prepare import Prepared, check, prepare
from nsi_cli.training.run import Run, alone, create_run, open_run, write_config
from nsi_cli.training.step import Told
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
    out = Path(group.agreed(str(out)))  # a time in its name differs between machines
    run = Run(out, config, prepared.store.schema)
    group.by_first(lambda: create_run(out, config, run.schema))
    progress.note(f"run: {run.path}")
    with alone(run.path, first=is_first_process()):
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
    folder = run.checkpoint(checkpoint)
    with alone(run.path, first=is_first_process()):
        if has_checkpoint(folder) and load_state(folder)[1].epoch >= run.config.epochs:
            return run, False
        _resume(run, folder, registry, progress, extended=epochs is not None)
    return run, True


def dry_run(config: TrainConfig, registry: TaskRegistry, progress: Progress = SILENT) -> Told:
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


def _resume(
    run: Run, folder: Path, registry: TaskRegistry, progress: Progress, *, extended: bool
) -> None:
    """Train a run from the checkpoint at ``folder``, or from the start if it never had one."""
    prepared = _prepared(run.config, registry, progress)
    run.check_schema(prepared.store.schema, prepared.store.path)
    trainer = Trainer(prepared, run, progress=progress)
    restart = folder == run.last and not has_checkpoint(folder)

    def before() -> None:
        if not restart:
            go_back(run.last, folder)
        if extended:
            write_config(run)

    prepared.group.by_first(before)
    if restart:
        progress.note(f"{run.path} has no checkpoint yet: it starts from the beginning")
    else:
        trainer.resume()
    _fit(trainer, run)


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
    return prepare(config, task, store)
