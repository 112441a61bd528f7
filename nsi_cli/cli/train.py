"""``nsi train``: every hyperparameter a flag, a preset or a line of YAML."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsi_cli.cli.flags import default_shown, given, with_flags_of
from nsi_cli.cli.state import State, state_of
from nsi_cli.support.errors import ConfigError

if TYPE_CHECKING:
    from nsi_cli.training.config import TrainConfig
    from nsi_cli.training.prepare import Prepared
    from nsi_cli.training.run import Run
    from nsi_cli.training.trainer import Trainer


def _presets_told() -> str:
    """Called where the annotations are read: once the command is asked for."""
    from nsi_cli.training.presets import preset_names

    return f"Options from a preset: {', '.join(preset_names())}."


@with_flags_of("nsi_cli.training.config:TrainConfig")
def train(
    ctx: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder." + default_shown("runs/TASK/TIME"))
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Options from a YAML file.")
    ] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help=_presets_told())] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Go on with a run, for more epochs if you say so."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Where --resume goes on from: last, best, or a step-… that is kept."
            + default_shown("last"),
        ),
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
        flags = given(options)
        epochs = flags.pop("epochs", None)
        if preset or config or out or flags or print_config or dry_run:
            raise ConfigError(
                "--resume goes on with a run as it was",
                "give it no other option than --epochs and --checkpoint, or start anew",
            )
        resume_training(state, resume, epochs=epochs, checkpoint=checkpoint or "last")
        return
    if checkpoint is not None:
        raise ConfigError("--checkpoint is one of a run's", "name the run with --resume")
    resolved = _resolved(preset, config, given(options))
    if print_config:
        from nsi_cli.support.options import plain
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
    from nsi_cli.support.processes import is_first_process
    from nsi_cli.training.lock import alone
    from nsi_cli.training.run import Run, create_run
    from nsi_cli.training.trainer import Trainer

    prepared = _prepared(state, config)
    ranks = prepared.ranks
    out = Path(ranks.agreed(str(out)))  # its time is not the same on all machines
    run = Run(out, config, prepared.store.schema)
    ranks.by_first(lambda: create_run(out, config, run.schema))
    state.progress.note(f"run: {run.path}")
    with alone(run.path, first=is_first_process()):
        _fit(state, Trainer(prepared, run, progress=state.progress), run)
    return run


def resume_training(
    state: State, path: Path, *, epochs: int | None = None, checkpoint: str = "last"
) -> None:
    """Go on with a run, for more ``epochs`` where they are given.

    A run that was stopped before its first checkpoint starts from the beginning.
    """
    from nsi_cli.support.processes import is_first_process
    from nsi_cli.training.lock import alone
    from nsi_cli.training.run import open_run

    run = _with_epochs(open_run(path), epochs)
    place = run.checkpoint(checkpoint)
    with alone(run.path, first=is_first_process()):
        if _finished(run, place):
            more = state.command("train", "--resume", path, "--epochs", 2 * run.config.epochs)
            count = f"{run.config.epochs} epoch{'s' * (run.config.epochs > 1)}"
            state.progress.note(f"already finished: {count}; train more: {more}")
            _tell_trained(state, run)
        else:
            _resume(state, run, place, extended=epochs is not None)


def _with_epochs(run: Run, epochs: int | None) -> Run:
    """The run with as many epochs; it can only have more than it had."""
    from dataclasses import replace

    if epochs is not None and epochs < run.config.epochs:
        raise ConfigError(
            f"run {run.path} is to train for {run.config.epochs} epochs, more than {epochs}",
            "leave --epochs out, or ask for more",
        )
    return replace(run, config=replace(run.config, epochs=epochs or run.config.epochs))


def _finished(run: Run, place: Path) -> bool:
    """Whether nothing is left to train after the checkpoint at ``place``."""
    from nsi_cli.training.checkpoint import load_state
    from nsi_cli.training.rotation import has_checkpoint

    return has_checkpoint(place) and load_state(place)[1].epoch >= run.config.epochs


def _resume(state: State, run: Run, place: Path, *, extended: bool) -> None:
    """Train a run from the checkpoint at ``place``, or anew where it never had a last one."""
    from nsi_cli.training.checkpoint import go_back
    from nsi_cli.training.rotation import has_checkpoint
    from nsi_cli.training.run import write_config
    from nsi_cli.training.trainer import Trainer

    prepared = _prepared(state, run.config)
    run.check_schema(prepared.store.schema, prepared.store.path)
    trainer = Trainer(prepared, run, progress=state.progress)
    anew = place == run.last and not has_checkpoint(place)

    def ready() -> None:
        if not anew:
            go_back(run.last, place)
        if extended:
            write_config(run)

    prepared.ranks.by_first(ready)
    if anew:
        state.progress.note(f"{run.path} has no checkpoint yet: it starts from the beginning")
    else:
        trainer.resume()
    _fit(state, trainer, run)


def _fit(state: State, trainer: Trainer, run: Run) -> None:
    """Train to the end, and say what to type next, there or where a signal asks to stop."""
    from nsi_cli.training.interruption import Interrupted

    try:
        trainer.fit()
    except Interrupted as error:
        error.hint = "resume with: " + state.command("train", "--resume", run.path)
        raise
    _tell_trained(state, run)


def _tell_trained(state: State, run: Run) -> None:
    from nsi_cli.support.processes import is_first_process

    if is_first_process():
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
    task = state.registry.task(config.task)
    from nsi_cli.data.store.reader import open_store
    from nsi_cli.training.prepare import check, prepare

    store = open_store(Path(config.data), config.task)
    for warning in check(config, store):
        state.progress.note(f"warning: {warning}")
    return prepare(config, task, store)
