"""``nsi build-data TASK``: a subcommand for each task, with the flags of its schema builder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nsi_cli import api
from nsi_cli.cli.build_summary import print_build
from nsi_cli.cli.check import check_and_print
from nsi_cli.cli.context import context_of
from nsi_cli.cli.download import DOWNLOAD_FLAGS, ask_before, download_options, resume_hinted
from nsi_cli.cli.flags import PlainGroup, command_of, default_shown, given, with_flags
from nsi_cli.cli.output import print_json

if TYPE_CHECKING:
    from nsi_cli.plugins.contract import Task


class TaskGroup(PlainGroup):
    """Its subcommands are the tasks; each is made when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the tasks that work."""
        return [row.name for row in context_of(ctx).tasks.rows if row.status == "ok"]

    def get_command(self, ctx: Any, name: str) -> Any:
        """The command that builds a task's store. Raises `PluginError` for an unknown task."""
        task = context_of(ctx).tasks.task(name)
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


_NEEDED = {
    "archives": ("download", *DOWNLOAD_FLAGS),
    "synthesize": ("synthetic",),
    "infer": ("infer",),
}
"""The flags that have an effect only if the builder has a method, by its name."""


def _command(task: Task) -> Callable[..., None]:
    def command(
        ctx: typer.Context,
        raw: Annotated[
            Path | None,
            typer.Option(metavar="DIR", help="Folder of the raw data." + default_shown("OUT-raw")),
        ] = None,
        synthetic: Annotated[
            int | None,
            typer.Option(
                min=1, max=1_000_000, metavar="N", help="Render N synthetic scenes first."
            ),
        ] = None,
        out: Annotated[
            Path | None,
            typer.Option(
                metavar="DIR", help="Folder of the new store." + default_shown("data/TASK")
            ),
        ] = None,
        image_size: Annotated[
            int,
            typer.Option(
                min=16, max=4096, metavar="N", help="Side of the stored images, in pixels."
            ),
        ] = api.BuildOptions.image_size,
        workers: Annotated[
            int | None,
            typer.Option(
                min=0,
                max=256,
                metavar="N",
                help="Number of processes that load scenes." + default_shown("one per core"),
            ),
        ] = None,
        max_skipped: Annotated[
            float,
            typer.Option(
                min=0,
                max=1,
                metavar="X",
                help="Largest share of unreadable scenes, from 0 to 1; with more, the build fails.",
            ),
        ] = api.BuildOptions.max_skipped,
        limit: Annotated[
            int | None,
            typer.Option(
                min=1,
                max=10**9,
                metavar="N",
                help="Build only N scenes, from the start of each split.",
            ),
        ] = None,
        vocabulary: Annotated[
            Path | None,
            typer.Option(
                metavar="STORE",
                help="Reuse the category ids of another store or of a run, so that a model that "
                "was trained with them can be evaluated on the new store.",
            ),
        ] = None,
        new_values: Annotated[
            Literal["refuse", "extend", "drop"],
            typer.Option(
                metavar="NAME",
                help="With --vocabulary: what happens to values that it does not have. One of: "
                "refuse (an error), extend (they get new ids), drop (stored as missing).",
            ),
        ] = "refuse",
        seed: Annotated[
            int,
            typer.Option(min=0, max=2**32 - 1, metavar="N", help="Seed of the synthetic scenes."),
        ] = 0,
        force: Annotated[bool, typer.Option("--force", help="Replace an existing store.")] = False,
        download: Annotated[
            bool,
            typer.Option(
                "--download",
                rich_help_panel="Download",
                help="Download and unpack the raw data first, or resume an earlier download. "
                "Shows sizes and asks for confirmation.",
            ),
        ] = False,
        check: Annotated[
            Path | None,
            typer.Option(
                metavar="DIR",
                help="Build nothing. Check the store DIR, list its faults, and draw a contact "
                "sheet of it into DIR-check.png, or into --out FILE.png.",
            ),
        ] = None,
        infer: Annotated[
            bool,
            typer.Option(
                "--infer",
                help="Build nothing. Print the inferred schema as a file, to edit and then to "
                "pass with --schema.",
            ),
        ] = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print build.json, not a table.")
        ] = False,
        **options: Any,
    ) -> None:
        if check is not None:
            check_and_print(ctx, task.name, check, sheet=out, seed=seed, as_json=as_json)
            return
        context, own = context_of(ctx), given(options)
        if infer:
            text = api.infer_schema(task.name, raw, out=out, options=own, tasks=context.tasks)
            typer.echo(text, nl=False)
            return
        chosen = {name: own.pop(name) for name in DOWNLOAD_FLAGS if name in own}
        with resume_hinted():
            store = api.build_store(
                task.name,
                out,
                raw=raw,
                synthetic=synthetic,
                download=download_options(download, chosen),
                confirm=ask_before(context),
                seed=seed,
                force=force,
                image_size=image_size,
                workers=workers,
                max_skipped=max_skipped,
                limit=limit,
                vocabulary=vocabulary,
                new_values=new_values,
                options=own,
                tasks=context.tasks,
                progress=context.progress,
            )
        print_json(store.build) if as_json else print_build(store.path, store.build)

    builder = task.load_schema_builder()
    hidden = [
        flag for method, flags in _NEEDED.items() if not hasattr(builder, method) for flag in flags
    ]
    command = with_flags(command, api.DownloadOptions)
    return with_flags(command, builder, panel=f"Options of {task.name}", hidden=hidden)
