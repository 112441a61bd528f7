"""Planning a download: what the server has, what is already here, and the space that it needs."""

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
from nsi_cli.support.files import check_room
from nsi_cli.support.progress import SILENT, Progress

FOLDER = "archives"
"""Where archives are kept, in the raw folder."""


@dataclass(frozen=True)
class PlannedArchive:
    """One archive: what the server has, and what is already here."""

    archive: Archive
    path: Path
    url: str
    state: Literal["unpacked", "complete", "partial", "missing"]
    remote: RemoteFile
    bytes_here: int

    @property
    def size(self) -> int:
        """Its size in bytes; the bytes that are here where the server does not say."""
        return max(self.remote.size or 0, self.bytes_here)


@dataclass(frozen=True)
class DownloadPlan:
    """What a raw folder needs to be complete."""

    raw: Path
    archives: tuple[PlannedArchive, ...]
    options: DownloadOptions

    @property
    def source(self) -> str:
        """The URL of the folder of the first archive, without a password."""
        return without_password(self.archives[0].url.rpartition("/")[0])

    @property
    def bytes_to_fetch(self) -> int:
        """How many bytes are to be downloaded."""
        return sum(item.size - item.bytes_here for item in self.archives)

    @property
    def bytes_needed(self) -> int:
        """Disk space that suffices: compressed images hardly shrink."""
        sizes = [item.size for item in self.archives if item.state != "unpacked"]
        unpacked = max(sizes, default=0) if self.options.delete_archives else sum(sizes)
        return self.bytes_to_fetch + unpacked


def make_plan(
    archives: Sequence[Archive],
    raw: Path,
    options: DownloadOptions | None = None,
    progress: Progress = SILENT,
) -> DownloadPlan:
    """Compare the raw folder with the server; nothing is written.

    The server is not contacted where all archives are here. Raises `DataError` if it does not
    answer or lacks an archive, where a complete archive has another size than the server's, and
    if the disk has too little space for the download.
    """
    options = options or DownloadOptions()
    manifest = DownloadManifest(raw / FOLDER)
    with make_client(options.timeout) as client:
        jobs = [
            (url, partial(_planned, archive, url, raw, manifest, client))
            for archive in archives
            for url in [archive.url(options.mirror)]
        ]
        planned = run_transfers(
            jobs, timeout=options.timeout, connections=options.connections, note=progress.note
        )
    plan = DownloadPlan(raw, tuple(planned), options)
    hint = "free some space, or choose another folder with --raw"
    check_room(raw, plan.bytes_to_fetch, f"downloading {decimal(plan.bytes_to_fetch)}", hint)
    return plan


def is_unpacked(archive: Archive, manifest: DownloadManifest, raw: Path) -> bool:
    """Whether an archive was unpacked, and its folder still exists."""
    return bool(manifest[archive.name].extracted) and (raw / archive.folder).is_dir()


def _planned(
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
        if not entry.sha256:  # the user brought it
            remote = probe(client, url, transfer)
            if remote.size not in (None, size):
                raise DataError(
                    f"{path} has {size:,} bytes, but {remote.size:,} on the server",
                    "remove it to download it again",
                )
        return PlannedArchive(archive, path, url, "complete", entry.remote, size)
    part = part_of(path)
    here = part.stat().st_size if part.is_file() else 0
    remote = probe(client, url, transfer)
    return PlannedArchive(archive, path, url, "partial" if here else "missing", remote, here)
