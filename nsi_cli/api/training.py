"""Training: the options of a run, a new run, a resumed one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli.api.paths import PathLike, optional_path
from nsi_cli.api.tasks import find_tasks
from nsi_cli.support.progress import SILENT, Progress
from nsi_cli.training.config import TrainConfig

if TYPE_CHECKING:
    from nsi_cli.plugins.discovery.registry import TaskRegistry
    from nsi_cli.training.run import Run


def preset_names() -> list[str]:
    """The names of the presets, sorted."""
    from nsi_cli.training import presets

    return presets.preset_names()


def as_yaml(config: TrainConfig) -> str:
    """The options of a training as YAML, as ``config.yaml`` holds them."""
    from nsi_cli.support.options import plain
    from nsi_cli.training import run

    return run.as_yaml(plain(config))


def read_options(path: PathLike) -> dict[str, Any]:
    """The options of a YAML file. Raises `ConfigError`."""
    from nsi_cli.training.presets import read_config_file

    return read_config_file(Path(path))


def train_config(
    preset: str | None = None, config_file: PathLike | None = None, **options: Any
) -> TrainConfig:
    """The options of a training: defaults < ``preset`` < ``config_file`` < ``options``.

    The store is ``data/TASK`` unless ``data`` names one. Raises `ConfigError` that lists every
    fault at once.
    """
    from dataclasses import replace

    from nsi_cli.training.presets import resolve

    if isinstance(options.get("data"), Path):
        options["data"] = str(options["data"])
    config = resolve(preset, optional_path(config_file), options)
    return replace(config, data=config.data or str(Path("data") / config.task))


def train(
    config: TrainConfig,
    out: PathLike | None = None,
    *,
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> Run:
    """Train a new run at ``out`` (``runs/TASK/TIME``) and return it.

    Raises `ConfigError`, `DataError` and `PluginError` before anything is written, and
    `Interrupted`, with the run's folder, after a signal.
    """
    from nsi_cli.training import session

    folder = Path(out or Path("runs") / config.task / time.strftime("%Y-%m-%d_%H-%M-%S"))
    return session.start(config, folder, tasks or find_tasks(), progress)


def resume(
    run: PathLike,
    *,
    epochs: int | None = None,
    checkpoint: str = "last",
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> tuple[Run, bool]:
    """Resume a run from a checkpoint, up to ``epochs`` if given; returns whether it trained.

    A run that is finished is left as it is.
    """
    from nsi_cli.training import session

    return session.resume(
        Path(run),
        tasks or find_tasks(),
        epochs=epochs,
        checkpoint=checkpoint,
        progress=progress,
    )


def dry_run(
    config: TrainConfig, *, tasks: TaskRegistry | None = None, progress: Progress = SILENT
) -> dict[str, float]:
    """Put one batch through a model, forward and backward; write nothing; return its metrics."""
    from nsi_cli.training import session

    return session.dry_run(config, tasks or find_tasks(), progress)
