"""``nsi train``: every hyperparameter a flag, a preset or a line of YAML."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from nsi_cli import api
from nsi_cli.cli.context import AppContext, context_of
from nsi_cli.cli.flags import default_shown, given, with_flags_of
from nsi_cli.support.errors import ConfigError, Interrupted
from nsi_cli.support.processes import is_first_process
from nsi_cli.support.progress import counted


def _presets_help() -> str:
    """Called when the annotations are read, that is once the command is run."""
    return f"Take options from a preset. One of: {', '.join(api.preset_names())}."


@with_flags_of("nsi_cli.training.config:TrainConfig")
def train(
    ctx: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the new run." + default_shown("runs/TASK/TIME")
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take options from a YAML file.")
    ] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help=_presets_help())] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Resume a run; with --epochs, train it for longer."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Checkpoint that --resume starts from: last, best, or the name of a kept "
            "checkpoint, step-…." + default_shown("last"),
        ),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the resulting options as YAML, and stop.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train on one batch, write nothing, and stop.")
    ] = False,
    **options: Any,
) -> None:
    """Train both encoders on a task's store.

    The defaults are the published values. A preset overrides the defaults, a
    config file overrides the preset, and flags override both. In a config file,
    options have the names of the flags (num-slots: 7).
    """
    context = context_of(ctx)
    if resume is not None:
        flags = given(options)
        epochs = flags.pop("epochs", None)
        if preset or config or out or flags or print_config or dry_run:
            raise ConfigError(
                "--resume continues a run with its own options",
                "give it no other option than --epochs and --checkpoint, or start a new run",
            )
        resume_and_print(context, resume, epochs=epochs, checkpoint=checkpoint or "last")
        return
    if checkpoint is not None:
        raise ConfigError("--checkpoint has no effect without --resume", "name a run: --resume RUN")
    resolved = api.train_config(preset, config, **given(options))
    if print_config:
        typer.echo(api.as_yaml(resolved), nl=False)
    elif dry_run:
        metrics = api.dry_run(resolved, tasks=context.tasks, progress=context.progress)
        for name, value in metrics.items() if is_first_process() else ():
            typer.echo(f"{name:<14} {value:.4f}")
    else:
        train_and_print(context, resolved, out)


def train_and_print(context: AppContext, config: api.TrainConfig, out: Path | None) -> None:
    """Train a new run."""
    with _resume_hinted(context):
        run = api.train(config, out, tasks=context.tasks, progress=context.progress)
    _print_trained(context, run.path)


def resume_and_print(
    context: AppContext, path: Path, *, epochs: int | None, checkpoint: str
) -> None:
    """Resume a run."""
    with _resume_hinted(context):
        run, trained = api.resume(
            path,
            epochs=epochs,
            checkpoint=checkpoint,
            tasks=context.tasks,
            progress=context.progress,
        )
    if not trained:
        more = context.command("train", "--resume", path, "--epochs", 2 * run.config.epochs)
        count = counted(run.config.epochs, "epochs")
        context.progress.note(f"already finished: {count}; train more: {more}")
    _print_trained(context, run.path)


@contextmanager
def _resume_hinted(context: AppContext) -> Iterator[None]:
    """Add the command that resumes the run to an interruption."""
    try:
        yield
    except Interrupted as error:
        if error.run is not None:
            error.hint = "resume with: " + context.command("train", "--resume", error.run)
        raise


def _print_trained(context: AppContext, run: Path) -> None:
    if is_first_process():
        typer.echo(f"trained: {run}")
        context.progress.note("next: " + context.command("eval", run))
