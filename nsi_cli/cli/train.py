"""``nsi train``: every hyperparameter a flag, a preset or a line of YAML."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsi_cli.cli.flags import default_shown, given, with_flags_of
from nsi_cli.cli.state import State, state_of
from nsi_cli.errors import ConfigError

if TYPE_CHECKING:
    from nsi_cli.training.config import TrainConfig
    from nsi_cli.training.prepare import Prepared
    from nsi_cli.training.run import Run
    from nsi_cli.training.trainer import Trainer


@with_flags_of("nsi_cli.training.config:TrainConfig")
def train(
    ctx: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder." + default_shown("runs/TASK/TIME"))
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Options from a YAML file.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Options from a preset: demo, readme.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a run from its last checkpoint.")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the options as YAML, and stop.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Put one batch through, write nothing, and stop.")
    ] = False,
    **options: Any,
) -> None:
    """Train both encoders on a task's store. Defaults are the published ones.

    Options are taken from defaults, then a preset, then a config file, then flags.
    """
    state = state_of(ctx)
    if resume is not None:
        if preset or config or out or given(options) or print_config or dry_run:
            raise ConfigError(
                "--resume goes on with a run as it was", "give it no other option, or start anew"
            )
        resume_training(state, resume)
        return
    resolved = _resolved(preset, config, given(options))
    if print_config:
        from nsi_cli.options import plain
        from nsi_cli.training.run import as_yaml

        typer.echo(as_yaml(plain(resolved)), nl=False)
    elif dry_run:
        _dry_run(state, resolved)
    else:
        start_training(state, resolved, out or _fresh(resolved.task))


def _resolved(preset: str | None, config: Path | None, flags: dict[str, Any]) -> TrainConfig:
    from dataclasses import replace

    from nsi_cli.training.presets import resolve

    resolved = resolve(preset, config, flags)
    return replace(resolved, data=resolved.data or str(Path("data") / resolved.task))


def _fresh(task: str) -> Path:
    return Path("runs") / task / time.strftime("%Y-%m-%d_%H-%M-%S")


def start_training(state: State, config: TrainConfig, out: Path) -> Run:
    """Train a new run at ``out``."""
    from nsi_cli.training.run import create_run
    from nsi_cli.training.trainer import Trainer

    prepared = _prepared(state, config)
    run = create_run(out, config, prepared.store.schema)
    state.progress.note(f"run: {run.path}")
    _fit(state, Trainer(prepared, run, progress=state.progress), run)
    return run


def resume_training(state: State, path: Path) -> None:
    """Go on with a run, or with one that was stopped before its first checkpoint."""
    from nsi_cli.training.checkpoint import has_checkpoint
    from nsi_cli.training.run import open_run
    from nsi_cli.training.trainer import Trainer

    run = open_run(path)
    prepared = _prepared(state, run.config)
    run.check_schema(prepared.store.schema, prepared.store.path)
    trainer = Trainer(prepared, run, progress=state.progress)
    if has_checkpoint(run.last):
        trainer.resume()
    else:
        state.progress.note(f"{path} has no checkpoint yet: it starts from the beginning")
    _fit(state, trainer, run)


def _fit(state: State, trainer: Trainer, run: Run) -> None:
    """Train to the end, and say what to type next, there or where a signal asks to stop."""
    from nsi_cli.training.interruption import Interrupted

    try:
        trainer.fit()
    except Interrupted as error:
        error.hint = "resume with: " + state.command("train", "--resume", run.path)
        raise
    typer.echo(f"trained: {run.path}")
    state.progress.note("next: " + state.command("eval", run.path))


def _dry_run(state: State, config: TrainConfig) -> None:
    from nsi_cli.training.run import Run
    from nsi_cli.training.trainer import Trainer

    prepared = _prepared(state, config)
    run = Run(Path(), config, prepared.store.schema)
    for name, value in Trainer(prepared, run, progress=state.progress).dry_run().items():
        typer.echo(f"{name:<14} {value:.4f}")


def _prepared(state: State, config: TrainConfig) -> Prepared:
    task = state.catalogue.task(config.task)
    from nsi_cli.data.store import open_store
    from nsi_cli.training.prepare import check, prepare

    store = open_store(Path(config.data))
    for warning in check(config, store):
        state.progress.note(f"warning: {warning}")
    return prepare(config, task, store)
