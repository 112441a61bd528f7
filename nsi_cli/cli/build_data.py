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
"""The flags that say something only where the builder has a method."""


def _command(task: Task) -> Callable[..., None]:
    def command(
        ctx: typer.Context,
        raw: Annotated[
            Path | None, typer.Option(help="Folder of the raw data." + default_shown("OUT-raw"))
        ] = None,
        synthetic: Annotated[
            int | None,
            typer.Option(
                min=1, max=1_000_000, metavar="N", help="First render N synthetic raw scenes."
            ),
        ] = None,
        out: Annotated[
            Path | None, typer.Option(help="Where the store goes." + default_shown("data/TASK"))
        ] = None,
        image_size: Annotated[
            int, typer.Option(min=16, max=4096, help="Side of the stored images.")
        ] = api.BuildOptions.image_size,
        workers: Annotated[
            int | None,
            typer.Option(
                min=0, max=256, help="Processes that load scenes." + default_shown("one a core")
            ),
        ] = None,
        max_skipped: Annotated[
            float,
            typer.Option(min=0, max=1, help="Share of unreadable scenes that fails the build."),
        ] = api.BuildOptions.max_skipped,
        limit: Annotated[
            int | None,
            typer.Option(
                min=1, max=10**9, metavar="N", help="Build only N scenes, the first of each split."
            ),
        ] = None,
        vocabulary: Annotated[
            Path | None,
            typer.Option(
                metavar="STORE",
                help="Another store (or a run) whose category ids are reused, so that a model that "
                "was trained on it can be evaluated on this store.",
            ),
        ] = None,
        new_values: Annotated[
            Literal["refuse", "extend", "drop"],
            typer.Option(
                help="With --vocabulary, new values are an error, are appended (extend), or are "
                "stored as missing (drop)."
            ),
        ] = "refuse",
        seed: Annotated[
            int, typer.Option(min=0, max=2**32 - 1, help="Seed of synthetic scenes.")
        ] = 0,
        force: Annotated[bool, typer.Option("--force", help="Replace a store.")] = False,
        download: Annotated[
            bool,
            typer.Option(
                "--download",
                rich_help_panel="Download",
                help="First download the raw data and unpack it, or resume that; shows sizes and "
                "asks.",
            ),
        ] = False,
        check: Annotated[
            Path | None,
            typer.Option(
                metavar="DIR",
                help="Build nothing: read the store DIR again, list every fault, and draw a "
                "contact sheet (--out FILE.png, --seed)."
                + default_shown("no; the sheet at DIR-check.png"),
            ),
        ] = None,
        infer: Annotated[
            bool,
            typer.Option(
                "--infer", help="Build nothing: print the inferred schema, as a file to edit."
            ),
        ] = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print build.json instead of a table.")
        ] = False,
        **options: Any,
    ) -> None:
        if check is not None:
            check_and_print(ctx, task.name, check, sheet=out, seed=seed, as_json=as_json)
            return
        context, own = context_of(ctx), given(options)
        if infer:
            folder = raw or (out or Path("data") / task.name).with_name(f"{task.name}-raw")
            text = api.infer_schema(task.name, folder, options=own, tasks=context.tasks)
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
