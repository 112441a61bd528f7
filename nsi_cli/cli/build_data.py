"""``nsi build-data TASK``: a subcommand for each task, with the flags of its schema builder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from nsi_cli.cli.flags import command_of, default_shown, given, with_flags
from nsi_cli.cli.output import print_json, print_table
from nsi_cli.cli.state import State, state_of
from nsi_cli.errors import ConfigError, DataError

if TYPE_CHECKING:
    from nsi_cli.plugins.contract import Task


class TaskGroup(TyperGroup):
    """Its subcommands are the tasks; each is made when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the tasks that work."""
        return [row.name for row in state_of(ctx).catalogue.rows if row.status == "ok"]

    def get_command(self, ctx: Any, name: str) -> Any:
        """The command that builds a task's store. Raises `PluginError` for an unknown task."""
        task = state_of(ctx).catalogue.task(name)
        return command_of(name, _command(task), f"Build a store of {task.summary}.")


app = typer.Typer(
    cls=TaskGroup,
    add_completion=False,
    no_args_is_help=True,
    subcommand_metavar="TASK [OPTIONS]",
    rich_markup_mode="rich",
)


@app.callback()
def build_data() -> None:
    """Build a task's store from its raw data.

    Each task has options of its own: nsi build-data TASK --help.
    """


def _command(task: Task) -> Callable[..., None]:
    def command(
        ctx: typer.Context,
        raw: Annotated[
            Path | None, typer.Option(help="Folder of the raw data." + default_shown("OUT-raw"))
        ] = None,
        synthetic: Annotated[
            int | None,
            typer.Option(min=1, metavar="N", help="First make N synthetic raw scenes."),
        ] = None,
        out: Annotated[
            Path | None, typer.Option(help="Where the store goes." + default_shown("data/TASK"))
        ] = None,
        image_size: Annotated[int, typer.Option(min=16, help="Side of the stored images.")] = 224,
        workers: Annotated[
            int | None,
            typer.Option(min=0, help="Processes that load scenes." + default_shown("one a core")),
        ] = None,
        max_skipped: Annotated[
            float,
            typer.Option(min=0, max=1, help="Share of unreadable scenes that fails the build."),
        ] = 0.001,
        seed: Annotated[int, typer.Option(min=0, help="Seed of synthetic scenes.")] = 0,
        force: Annotated[bool, typer.Option("--force", help="Replace a store.")] = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print build.json instead of a table.")
        ] = False,
        **options: Any,
    ) -> None:
        out = out or Path("data") / task.name
        build = run_build(
            state_of(ctx),
            task,
            raw=raw,
            synthetic=synthetic,
            out=out,
            image_size=image_size,
            workers=workers,
            max_skipped=max_skipped,
            seed=seed,
            force=force,
            options=given(options),
        )
        print_json(build) if as_json else print_build(out, build)

    return with_flags(command, task.load_schema_builder(), panel=f"Options of {task.name}")


def run_build(
    state: State, task: Task, *, raw: Path | None, synthetic: int | None, out: Path,
    image_size: int, workers: int | None, max_skipped: float = 0.001, seed: int = 0,
    force: bool = False, options: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Make synthetic scenes where asked for, build the store, and return its ``build.json``."""
    import os

    from nsi_cli.data.build import build_store
    from nsi_cli.data.store import open_store
    from nsi_cli.files import told_when_disk_fails
    from nsi_cli.options import check_options, plain
    from nsi_cli.plugins.contract import Synthesizer

    raw = raw or out.with_name(out.name + "-raw")
    workers = (os.cpu_count() or 1) if workers is None else workers
    builder: Any = check_options(
        task.load_schema_builder(), options, where=f"nsi build-data {task.name}", raw=raw
    )
    _check_place(out, force=force)
    told = {**plain(builder), "raw": str(raw)}
    if synthetic is not None:
        if not isinstance(builder, Synthesizer):
            raise ConfigError(
                f"task '{task.name}' cannot make synthetic scenes", "give it raw data with --raw"
            )
        told |= {"synthetic": synthetic, "seed": seed}
        with (
            told_when_disk_fails(raw, "--raw"),
            state.progress.stage("render", synthetic) as advance,
        ):
            builder.synthesize(synthetic, seed=seed, workers=workers, advance=advance)
    build_store(
        builder,
        task.name,
        out,
        image_size=image_size,
        workers=workers,
        max_skipped=max_skipped,
        told=told,
        progress=state.progress,
    )
    return open_store(out).build


def _check_place(out: Path, *, force: bool) -> None:
    """Raise `DataError` where a store would take the place of something else."""
    from nsi_cli.data.build import is_store

    if is_store(out):
        if not force:
            raise DataError(f"there is a store at {out} already", "replace it with --force")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(
            f"{out} is there already, and is no store", "choose another place with --out"
        )


def print_build(out: Path, build: dict[str, Any]) -> None:
    """Say what was built: scenes and objects by split, and what was left out."""
    rows = [
        (split, f"{told['scenes']:,}", f"{told['objects']:,}", f"{told['dropped_objects']:,}")
        for split, told in build["splits"].items()
    ]
    title = f"{out}: {build['task']}, images of {build['image_size']} × {build['image_size']}"
    print_table(title, ("split", "scenes", "objects", "dropped"), rows)
    for item in build["skipped"]:
        typer.echo(f"skipped: {item['reason']}")
