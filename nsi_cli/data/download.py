"""From archives on a server to a raw folder: what lacks is fetched, checked and unpacked."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Sequence

from nsi_cli.data.download_plan import FOLDER, Item, Plan, is_unpacked
from nsi_cli.data.extract import extract
from nsi_cli.data.fetch import Fetch, add_file
from nsi_cli.data.ledger import Ledger
from nsi_cli.data.remote import make_client
from nsi_cli.errors import DataError
from nsi_cli.files import held, told_when_disk_fails
from nsi_cli.progress import SILENT, Progress


def carry_out(plan: Plan, *, connections: int = 4, progress: Progress = SILENT) -> dict[str, str]:
    """Fetch what lacks, check and unpack it, and return the archives' SHA-256 by name.

    ``connections`` archives are fetched at a time. An interruption leaves what has come, and the
    next plan takes it up. With ``delete_archives`` an archive is removed once it is unpacked,
    before the next one is begun. Raises `DataError`.
    """
    folder = plan.raw / FOLDER
    waiting = f"another process downloads to {folder}: waiting for it"
    with told_when_disk_fails(plan.raw, "--raw"):
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder / ".lock", lambda: progress.note(waiting)):
            ledger = Ledger(folder)
            items = [
                item
                for item in plan.items
                if not is_unpacked(item.archive, ledger, plan.raw, plan.all_files)
            ]
            came = [item for item in items if not item.path.exists()]
            _fetch_all(came, plan, ledger, connections, progress)
            for item in items:
                if item not in came:
                    _compare(item, ledger, progress)
                _unpack(item, plan, ledger, progress)
            if plan.delete_archives:
                for item in plan.items:  # also those that were unpacked without this wish
                    item.path.unlink(missing_ok=True)
            return {item.archive.name: ledger[item.archive.name].sha256 for item in plan.items}


def _fetch_all(
    items: Sequence[Item], plan: Plan, ledger: Ledger, connections: int, progress: Progress
) -> None:
    if not items:
        return
    stop, lock = threading.Event(), threading.Lock()
    total, here = sum(item.size for item in items), sum(item.here for item in items)
    with (
        make_client(plan.patience) as client,
        progress.stage("download", total, "B", here) as advance,
    ):

        def tell(count: int) -> None:
            with lock:
                advance(count)

        def fetch(item: Item) -> None:
            Fetch(
                item.url, item.path, item.remote, ledger, client, plan.patience, stop, tell,
                progress.note,
            ).run()  # fmt: skip

        _in_threads(fetch, items, connections, stop)


def _in_threads(
    work: Callable[[Item], None], items: Sequence[Item], count: int, stop: threading.Event
) -> None:
    """Do the work, or raise what went wrong first and set ``stop``.

    The threads are daemons, so that an interruption need not wait for a silent server.
    """
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)

    def run() -> None:
        while not stop.is_set():
            try:
                work(waiting.get_nowait())
            except queue.Empty:
                return
            except BaseException as error:
                ended.put(error)
                return
            ended.put(None)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(count, len(items)))]
    try:
        for thread in threads:
            thread.start()
        for _ in items:
            if error := ended.get():
                raise error
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=0.5)


def _unpack(item: Item, plan: Plan, ledger: Ledger, progress: Progress) -> None:
    with progress.stage("unpack", item.path.stat().st_size, "B") as advance:
        extract(item.path, item.archive, plan.raw, all_files=plan.all_files, advance=advance)
    ledger.change(item.archive.name, extracted="all" if plan.all_files else "wanted")
    if plan.delete_archives:
        item.path.unlink()


def _compare(item: Item, ledger: Ledger, progress: Progress) -> None:
    """Compare an archive that was here before with what was recorded of it, or record it."""
    size, found = item.path.stat().st_size, hashlib.sha256()
    with progress.stage("compare", size, "B") as advance:
        add_file(found, item.path, advance)
    known = ledger[item.archive.name].sha256
    if not known:
        ledger.change(item.archive.name, size=size, sha256=found.hexdigest())
    elif found.hexdigest() != known:
        raise DataError(
            f"{item.path} is not what was downloaded: its SHA-256 begins with "
            f"{found.hexdigest()[:12]}, the one recorded with {known[:12]}",
            "remove it to download it again",
        )
