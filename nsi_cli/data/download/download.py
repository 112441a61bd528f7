"""Carrying out a download plan: archives are fetched, verified and unpacked."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from functools import partial

from nsi_cli.data.download.fetch import Fetch, hash_file
from nsi_cli.data.download.http import make_client
from nsi_cli.data.download.manifest import DownloadManifest
from nsi_cli.data.download.plan import FOLDER, DownloadPlan, PlannedArchive, is_unpacked
from nsi_cli.data.download.transfer import Transfer, run_transfers
from nsi_cli.data.download.unpack import check_python, extract
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import disk_errors_explained, held
from nsi_cli.support.progress import SILENT, Progress


def download(plan: DownloadPlan, progress: Progress = SILENT) -> dict[str, str]:
    """Fetch, verify and unpack what is missing, and return the archives' SHA-256 by name.

    An interruption keeps what arrived, and the next plan resumes it. An archive whose unpacking
    was interrupted is unpacked again from its beginning. Raises `DataError`.
    """
    check_python()
    folder, raw = plan.raw / FOLDER, plan.raw
    with disk_errors_explained(raw, "--raw"):
        folder.mkdir(parents=True, exist_ok=True)
        waiting = partial(progress.note, f"waiting: another process downloads to {folder}")
        with held(folder / ".lock", waiting):
            manifest = DownloadManifest(folder)
            todo = [it for it in plan.archives if not is_unpacked(it.archive, manifest, raw)]
            missing = [item for item in todo if not item.path.exists()]
            _fetch_all(missing, plan, manifest, progress)
            for item in todo:
                if item not in missing:
                    _verify(item, manifest, progress)
                with progress.stage("unpack", item.path.stat().st_size, "B") as advance:
                    extract(item.path, item.archive, raw, advance)
                manifest.change(item.archive.name, extracted="wanted")
                _delete_if_asked(item, plan)
            for item in plan.archives:  # those that an earlier download kept, too
                _delete_if_asked(item, plan)
            return {item.archive.name: manifest[item.archive.name].sha256 for item in plan.archives}


def _delete_if_asked(item: PlannedArchive, plan: DownloadPlan) -> None:
    if plan.options.delete_archives:
        item.path.unlink(missing_ok=True)


def _fetch_all(
    items: Sequence[PlannedArchive],
    plan: DownloadPlan,
    manifest: DownloadManifest,
    progress: Progress,
) -> None:
    if not items:
        return
    lock, options = threading.Lock(), plan.options
    total, here = sum(item.size for item in items), sum(item.bytes_here for item in items)
    with (
        make_client(options.timeout) as client,
        progress.stage("download", total, "B", here) as advance,
    ):

        def advance_one(count: int) -> None:
            with lock:
                advance(count)

        def fetch(item: PlannedArchive, transfer: Transfer) -> None:
            Fetch(
                item.url, item.path, item.remote, manifest, client, transfer, advance_one,
                progress.note,
            ).run()  # fmt: skip

        jobs = [(item.url, partial(fetch, item)) for item in items]
        run_transfers(
            jobs, timeout=options.timeout, connections=options.connections, note=progress.note
        )


def _verify(item: PlannedArchive, manifest: DownloadManifest, progress: Progress) -> None:
    """Compare an archive that was already here with its recorded SHA-256, or record it."""
    size, digest = item.path.stat().st_size, hashlib.sha256()
    with progress.stage("verify", size, "B") as advance:
        hash_file(digest, item.path, advance)
    known, found = manifest[item.archive.name].sha256, digest.hexdigest()
    if not known:
        manifest.change(item.archive.name, size=size, sha256=found)
    elif found != known:
        raise DataError(
            f"{item.path} changed since it was downloaded: its SHA-256 begins with {found[:12]}, "
            f"the recorded one with {known[:12]}",
            "remove it to download it again",
        )
