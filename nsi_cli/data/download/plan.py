"""Planning a download: what is on the server, what is on disk, and how much space is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import httpx
from rich.filesize import decimal

from nsi_cli.data.download.fetch import part_of
from nsi_cli.data.download.http import RemoteFile, make_client, probe
from nsi_cli.data.download.manifest import DownloadManifest
from nsi_cli.data.download.options import DownloadOptions
from nsi_cli.data.download.transfer import Transfer, run_transfers, without_password
from nsi_cli.plugins.archive import Archive
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import check_free_space
from nsi_cli.support.progress import SILENT, Progress

FOLDER = "archives"
"""The name of the folder of archives in the raw folder."""

State = Literal["unpacked", "complete", "partial", "missing"]


@dataclass(frozen=True)
class PlannedArchive:
    """One archive: its file on the server, and how much of it is on disk."""

    archive: Archive
    path: Path
    url: str
    state: State
    remote: RemoteFile
    bytes_here: int

    @property
    def size(self) -> int:
        """Its size in bytes; if the server does not report it, the number of bytes on disk."""
        return max(self.remote.size or 0, self.bytes_here)


@dataclass(frozen=True)
class DownloadPlan:
    """The archives of a raw folder, with the options of their download."""

    raw: Path
    archives: tuple[PlannedArchive, ...]
    options: DownloadOptions

    @property
    def source(self) -> str:
        """The URL of the folder of the first archive, without a password."""
        return without_password(self.archives[0].url.rpartition("/")[0])

    @property
    def bytes_to_fetch(self) -> int:
        """The number of bytes to download."""
        return sum(item.size - item.bytes_here for item in self.archives)

    @property
    def bytes_needed(self) -> int:
        """The disk space needed, in bytes, if archives unpack to about their own size."""
        sizes = [item.size for item in self.archives if item.state != "unpacked"]
        unpacked = max(sizes, default=0) if self.options.delete_archives else sum(sizes)
        return self.bytes_to_fetch + unpacked


def make_plan(
    archives: Sequence[Archive],
    raw: Path,
    options: DownloadOptions,
    progress: Progress = SILENT,
) -> DownloadPlan:
    """Compare the raw folder with the server; nothing is written.

    The server is not contacted if all archives are on disk. Raises `DataError` if the server does
    not respond, an archive is missing there, an archive on disk differs in size from the server's,
    or the disk has too little space for the download.
    """
    manifest = DownloadManifest(raw / FOLDER)
    with make_client(options.timeout) as client:
        jobs = [
            (url, partial(_plan_archive, archive, url, raw, manifest, client))
            for archive in archives
            for url in [archive.url(options.mirror)]
        ]
        planned = run_transfers(
            jobs, timeout=options.timeout, connections=options.connections, note=progress.note
        )
    plan = DownloadPlan(raw, tuple(planned), options)
    hint = "free some space, or choose another folder with --raw"
    check_free_space(raw, plan.bytes_to_fetch, f"downloading {decimal(plan.bytes_to_fetch)}", hint)
    return plan


def is_unpacked(archive: Archive, manifest: DownloadManifest, raw: Path) -> bool:
    """Whether an archive was unpacked, and its folder still exists."""
    return bool(manifest[archive.name].extracted) and (raw / archive.folder).is_dir()


def _plan_archive(
    archive: Archive,
    url: str,
    raw: Path,
    manifest: DownloadManifest,
    client: httpx.Client,
    transfer: Transfer,
) -> PlannedArchive:
    path, entry = raw / FOLDER / archive.name, manifest[archive.name]
    if is_unpacked(archive, manifest, raw):
        return PlannedArchive(archive, path, url, "unpacked", entry.remote, entry.size or 0)
    if path.is_file():
        size = path.stat().st_size
        if not entry.sha256:  # not downloaded by this program
            remote = probe(client, url, transfer)
            if remote.size not in (None, size):
                raise DataError(
                    f"{path} has {size:,} bytes, but {remote.size:,} on the server",
                    "remove it to download it again",
                )
        return PlannedArchive(archive, path, url, "complete", entry.remote, size)
    part = part_of(path)
    part_size = part.stat().st_size if part.is_file() else 0
    remote = probe(client, url, transfer)
    state: State = "partial" if part_size else "missing"
    return PlannedArchive(archive, path, url, state, remote, part_size)
