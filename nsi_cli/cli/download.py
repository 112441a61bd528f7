"""``nsi build-data TASK --download``: what it shows and asks before it fetches raw data."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nsi_cli.cli.flags import default_shown
from nsi_cli.cli.state import State
from nsi_cli.errors import ConfigError

if TYPE_CHECKING:
    from nsi_cli.data.download_plan import Item, Plan

PANEL = "Download"

DOWNLOAD_FLAGS = ("download", "yes", "mirror", "connections", "all_files", "delete_archives")

DownloadFlag = Annotated[
    bool,
    typer.Option(
        "--download",
        rich_help_panel=PANEL,
        help="First fetch the raw data and unpack them, or go on with it: shows sizes, and asks.",
    ),
]
YesFlag = Annotated[bool, typer.Option("--yes", rich_help_panel=PANEL, help="Do not ask.")]
MirrorFlag = Annotated[
    str,
    typer.Option(
        metavar="URL",
        rich_help_panel=PANEL,
        show_default=False,
        help="Folder of the archives on another server." + default_shown("the dataset's own"),
    ),
]
ConnectionsFlag = Annotated[
    int,
    typer.Option(min=1, max=16, rich_help_panel=PANEL, help="Archives that are fetched at a time."),
]
AllFilesFlag = Annotated[
    bool,
    typer.Option(
        "--all-files",
        rich_help_panel=PANEL,
        help="Unpack what a build does not read, too: most of the bytes.",
    ),
]
DeleteArchivesFlag = Annotated[
    bool,
    typer.Option(
        "--delete-archives",
        rich_help_panel=PANEL,
        help="Remove each archive once it is unpacked, before the next.",
    ),
]


@dataclass(frozen=True)
class Wish:
    """What the flags of a download say."""

    yes: bool = False
    mirror: str = ""
    connections: int = 4
    all_files: bool = False
    delete_archives: bool = False


def wish_of(download: bool, wish: Wish) -> Wish | None:
    """The wish, if a download is asked for. Raises `ConfigError` for flags that need it."""
    if wish.mirror and not wish.mirror.startswith(("http://", "https://")):
        raise ConfigError(
            f"--mirror takes an address, not '{wish.mirror}'", "it begins with https:// or http://"
        )
    if not download and wish != Wish():
        raise ConfigError(
            "--yes, --mirror, --connections, --all-files and --delete-archives are of a download",
            "add --download",
        )
    return wish if download else None


def run_download(state: State, task: str, builder: Any, wish: Wish) -> dict[str, str]:
    """Fetch and unpack a task's raw data under ``builder.raw``; the archives' SHA-256 by name.

    Shows what is to be fetched and asks first. Raises `ConfigError` where there is nobody to ask,
    and `Interrupted`, with the command that resumes, where a signal ends it.
    """
    from nsi_cli.data.download import carry_out
    from nsi_cli.data.download_plan import make_plan
    from nsi_cli.plugins.contract import Downloadable
    from nsi_cli.training.interruption import Interrupted

    raw: Path = builder.raw
    if not isinstance(builder, Downloadable):
        raise ConfigError(f"task '{task}' has nothing to download", "give it raw data with --raw")
    try:
        plan = make_plan(
            builder.archives(), raw, mirror=wish.mirror,
            all_files=wish.all_files, delete_archives=wish.delete_archives,
            progress=state.progress,
        )  # fmt: skip
        if not state.quiet:
            _show(plan)
        if plan.lacking and not wish.yes:
            _ask(plan)
        return carry_out(plan, connections=wish.connections, progress=state.progress)
    except KeyboardInterrupt:
        raise Interrupted(
            "the download was interrupted; what has come is kept", f"resume with: {_again()}"
        ) from None


def _show(plan: Plan) -> None:
    """A table of the archives on stderr, and what room there is for them."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from nsi_cli.data.remote import shown
    from nsi_cli.files import readable

    console = Console(stderr=True, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("archive", overflow="fold")
    table.add_column("size", justify="right")
    table.add_column("here")
    for item in plan.items:
        table.add_row(item.archive.name, _size(item), _here(item))
    console.print(shown(plan.items[0].url.rpartition("/")[0]), markup=False, soft_wrap=True)
    console.print(table)
    free = shutil.disk_usage(_existing(plan.raw)).free
    console.print(
        f"to fetch: {readable(plan.lacking)}; free at {plan.raw}: {readable(free)}",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    if plan.room > free:
        console.print(
            f"warning: with what is unpacked, up to {readable(plan.room)} may be needed"
            + ("" if plan.delete_archives else " (less with --delete-archives)"),
            markup=False, soft_wrap=True, style="yellow",
        )  # fmt: skip


def _size(item: Item) -> str:
    from nsi_cli.files import readable

    return "?" if item.remote.size is None and not item.here else readable(item.size)


def _here(item: Item) -> str:
    from nsi_cli.files import readable

    told = {"unpacked": "unpacked", "here": "yes", "missing": "no"}
    return told.get(item.state) or f"{readable(item.here)} of it"


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def _ask(plan: Plan) -> None:
    from nsi_cli.files import readable

    if not sys.stdin.isatty():
        raise ConfigError(
            f"{readable(plan.lacking)} are to be downloaded, and there is nobody to ask",
            "add --yes to go ahead",
        )
    typer.confirm("Go ahead?", abort=True, err=True)


def _again() -> str:
    """The command that was typed; given again, it goes on."""
    import shlex

    return shlex.join(["nsi", *sys.argv[1:]])
