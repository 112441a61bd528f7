"""Executing a download plan: downloading, verifying and unpacking the archives."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial

from nsi_cli.data.download.fetch import Fetch
from nsi_cli.data.download.http import make_client
from nsi_cli.data.download.manifest import DownloadManifest
from nsi_cli.data.download.plan import FOLDER, DownloadPlan, PlannedArchive, is_unpacked
from nsi_cli.data.download.transfer import Transfer, run_transfers
from nsi_cli.data.download.unpack import check_python, extract
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import disk_errors_explained, held, sha256
from nsi_cli.support.progress import SILENT, Progress


def download(plan: DownloadPlan, progress: Progress = SILENT) -> dict[str, str]:
    """Download, verify and unpack missing archives; return the SHA-256 of each archive by name.

    Data of an interrupted download is kept, and the next call resumes it. If the unpacking of an
    archive is interrupted, the next call restarts it. Raises `DataError`.
    """
    check_python()
    folder, raw = plan.raw / FOLDER, plan.raw
    with disk_errors_explained(raw, "--raw"):
        folder.mkdir(parents=True, exist_ok=True)
        waiting = partial(progress.note, f"waiting: another process is downloading to {folder}")
        with held(folder / ".lock", waiting):
            manifest = DownloadManifest(folder)
            pending = [
                item for item in plan.archives if not is_unpacked(item.archive, manifest, raw)
            ]
            missing = [item for item in pending if not item.path.exists()]
            _fetch_all(missing, plan, manifest, progress)
            for item in pending:
                if item not in missing:
                    _verify(item, manifest, progress)
                with progress.stage("unpack", item.path.stat().st_size, "B") as advance:
                    extract(item.path, item.archive, raw, advance)
                manifest.change(item.archive.name, extracted="wanted")
                _delete_if_requested(item, plan)
            for item in plan.archives:  # including those that an earlier download kept
                _delete_if_requested(item, plan)
            return {item.archive.name: manifest[item.archive.name].sha256 for item in plan.archives}


def _delete_if_requested(item: PlannedArchive, plan: DownloadPlan) -> None:
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
    total, done = sum(item.size for item in items), sum(item.bytes_here for item in items)
    with (
        make_client(options.timeout) as client,
        progress.stage("download", total, "B", done) as advance,
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
    """Compare the SHA-256 of an archive on disk with the recorded one, or record it."""
    size = item.path.stat().st_size
    with progress.stage("verify", size, "B") as advance:
        actual = sha256(item.path, advance)
    recorded = manifest[item.archive.name].sha256
    if not recorded:
        manifest.change(item.archive.name, size=size, sha256=actual)
    elif actual != recorded:
        raise DataError(
            f"{item.path} changed since it was downloaded: its SHA-256 begins with {actual[:12]}, "
            f"the recorded one with {recorded[:12]}",
            "remove it to download it again",
        )
