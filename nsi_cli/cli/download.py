"""``nsi build-data TASK --download``: shows what will be downloaded, asks, and downloads it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.filesize import decimal

from nsi_cli.cli.state import State
from nsi_cli.data.download.options import DownloadOptions
from nsi_cli.support.errors import ConfigError, Interrupted
from nsi_cli.support.options import check_options, declared_options

if TYPE_CHECKING:
    from nsi_cli.data.download.plan import DownloadPlan, PlannedArchive

DOWNLOAD_FLAGS = tuple(item.name for item in declared_options(DownloadOptions))


def download_options(download: bool, given: Mapping[str, Any]) -> DownloadOptions | None:
    """The options of a download, if one is asked for. Raises `ConfigError`."""
    if download:
        return check_options(DownloadOptions, given, where="--download")
    if given:
        names = ", ".join("--" + name.replace("_", "-") for name in given)
        raise ConfigError(f"{names} has no effect without --download", "add --download")
    return None


def run_download(state: State, task: str, builder: Any, options: DownloadOptions) -> dict[str, str]:
    """Download a task's raw data to ``builder.raw``; returns the archives' SHA-256 by name.

    Shows the plan and asks first. Raises `ConfigError` where it cannot ask; what ends a download
    names the command that resumes it.
    """
    from nsi_cli.data.download.download import download
    from nsi_cli.data.download.plan import make_plan
    from nsi_cli.data.download.transfer import StalledError
    from nsi_cli.plugins.contract import Downloadable

    raw: Path = builder.raw
    if not isinstance(builder, Downloadable):
        raise ConfigError(f"task '{task}' has nothing to download", "give it raw data with --raw")
    resume = "resume with: " + shlex.join(["nsi", *sys.argv[1:]])
    try:
        plan = make_plan(builder.archives(), raw, options, state.progress)
        if not state.quiet:
            _show(plan)
        if plan.bytes_to_fetch and not options.yes:
            _ask(plan)
        return download(plan, state.progress)
    except StalledError as error:
        error.hint = f"what arrived is kept; {resume}"
        raise
    except KeyboardInterrupt:
        raise Interrupted("the download was interrupted; what arrived is kept", resume) from None


def _show(plan: DownloadPlan) -> None:
    """Print a table of the archives and the disk space on stderr."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from nsi_cli.data.download.transfer import without_password

    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("archive", overflow="fold")
    table.add_column("size", justify="right")
    table.add_column("here")
    for item in plan.archives:
        table.add_row(item.archive.name, _size(item), _here(item))
    console.print(without_password(plan.archives[0].url.rpartition("/")[0]))
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
