"""``nsi build-data TASK --download``: shows what will be downloaded, asks, and downloads it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.filesize import decimal

from nsi_cli import api
from nsi_cli.cli.context import AppContext
from nsi_cli.support.errors import ConfigError, Interrupted, NsiError, interruptions_kept
from nsi_cli.support.options import check_options, declared_options

if TYPE_CHECKING:
    from nsi_cli.data.download.plan import DownloadPlan, PlannedArchive

DOWNLOAD_FLAGS = tuple(item.name for item in declared_options(api.DownloadOptions))


def download_options(download: bool, given: Mapping[str, Any]) -> api.DownloadOptions | None:
    """The options of a download, if one is asked for. Raises `ConfigError`."""
    if download:
        return check_options(api.DownloadOptions, given, where="", flags=given)
    if given:
        names = ", ".join("--" + name.replace("_", "-") for name in given)
        raise ConfigError(f"{names} has no effect without --download", "add --download")
    return None


def ask_before(context: AppContext) -> Callable[[DownloadPlan], None]:
    """A function that shows the plan of a download and asks for confirmation if it is needed."""

    def confirm(plan: DownloadPlan) -> None:
        if not context.quiet:
            _show(plan)
        if plan.bytes_to_fetch and not plan.options.yes:
            _ask(plan)

    return confirm


@contextmanager
def resume_hinted() -> Iterator[None]:
    """Add the command that resumes or starts again to the error that ends a build."""
    again = shlex.join(["nsi", *sys.argv[1:]])
    try:
        with interruptions_kept():
            yield
    except NsiError as error:
        if error.resumable:
            kept = "what arrived is kept; " if error.hint else ""  # else the message says so
            error.hint = f"{kept}resume with: {again}"
        raise
    except KeyboardInterrupt:
        raise Interrupted("interrupted", f"start again with: {again}") from None


def _show(plan: DownloadPlan) -> None:
    """Print a table of the archives and the disk space on stderr."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("archive", overflow="fold")
    table.add_column("size", justify="right")
    table.add_column("here")
    for item in plan.archives:
        table.add_row(item.archive.name, _size(item), _here(item))
    console.print(plan.source)
    console.print(table, soft_wrap=False)
    free = shutil.disk_usage(_existing(plan.raw)).free
    console.print(f"to fetch: {decimal(plan.bytes_to_fetch)}; free at {plan.raw}: {decimal(free)}")
    if plan.bytes_needed > free:
        less = "" if plan.options.delete_archives else " (less with --delete-archives)"
        console.print(
            f"warning: unpacking included, up to {decimal(plan.bytes_needed)} may be needed{less}",
            style="yellow",
        )


def _size(item: PlannedArchive) -> str:
    return "?" if item.remote.size is None and not item.bytes_here else decimal(item.size)


def _here(item: PlannedArchive) -> str:
    names = {"unpacked": "unpacked", "complete": "yes", "missing": "no"}
    return names.get(item.state) or f"{decimal(item.bytes_here)} of it"


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def _ask(plan: DownloadPlan) -> None:
    if not sys.stdin.isatty():
        raise ConfigError(
            f"downloading {decimal(plan.bytes_to_fetch)}: confirmation required, but stdin is not "
            "a terminal",
            "add --yes to download without a question",
        )
    typer.confirm("Download?", abort=True, err=True)
