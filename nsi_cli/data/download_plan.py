"""What is to be downloaded: what the server has, what is here of it, and what room there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nsi_cli.data.fetch import part_of
from nsi_cli.data.ledger import Ledger
from nsi_cli.data.remote import Patience, Remote, look_at, make_client
from nsi_cli.errors import DataError
from nsi_cli.files import check_room, readable
from nsi_cli.plugins.archive import Archive
from nsi_cli.progress import SILENT, Progress

FOLDER = "archives"
"""Where archives lie, in the raw folder."""

State = Literal["unpacked", "here", "partly", "missing"]


@dataclass(frozen=True)
class Item:
    """One archive: what the server has, and what is here of it."""

    archive: Archive
    path: Path
    url: str
    state: State
    remote: Remote
    here: int

    @property
    def size(self) -> int:
        """Its size in bytes; what is here of it, where the server does not tell."""
        return max(self.remote.size or 0, self.here)


@dataclass(frozen=True)
class Plan:
    """What is to be done for a raw folder to be whole."""

    raw: Path
    items: tuple[Item, ...]
    all_files: bool = False
    delete_archives: bool = False
    patience: Patience = field(default_factory=Patience)

    @property
    def to_fetch(self) -> list[Item]:
        """The archives that are not here wholly."""
        return [item for item in self.items if item.state in ("partly", "missing")]

    @property
    def lacking(self) -> int:
        """How many bytes are to be fetched."""
        return sum(item.size - item.here for item in self.to_fetch)

    @property
    def room(self) -> int:
        """How many bytes of disk suffice, since pictures hardly shrink when compressed."""
        sizes = [item.size for item in self.items if item.state != "unpacked"]
        return self.lacking + (max(sizes, default=0) if self.delete_archives else sum(sizes))


def make_plan(
    archives: Sequence[Archive],
    raw: Path,
    *,
    mirror: str = "",
    all_files: bool = False,
    delete_archives: bool = False,
    patience: Patience | None = None,
    progress: Progress = SILENT,
) -> Plan:
    """See what is under ``raw``, and ask the server about the rest; nothing is written.

    The server is not asked where all archives are here or unpacked. Raises `DataError` where it
    does not answer or lacks an archive, where an archive that is here has another size than the
    server's, and where the disk has no room for what lacks.
    """
    patience = patience or Patience()
    folder = raw / FOLDER
    ledger = Ledger(folder)
    with make_client(patience) as client:

        def see(archive: Archive) -> Item:
            return _seen(
                archive, folder / archive.name, archive.url(mirror), ledger, raw, all_files,
                lambda url: look_at(client, url, patience, progress.note),
            )  # fmt: skip

        items = tuple(see(archive) for archive in archives)
    plan = Plan(raw, items, all_files, delete_archives, patience)
    hint = "free some space, or choose another place with --raw"
    check_room(raw, plan.lacking, f"downloading {readable(plan.lacking)}", hint)
    return plan


def is_unpacked(archive: Archive, ledger: Ledger, raw: Path, all_files: bool) -> bool:
    """Whether all that is asked for of an archive was unpacked, and its folder is there still."""
    enough = ("all",) if all_files else ("wanted", "all")
    return ledger[archive.name].extracted in enough and (raw / archive.folder).is_dir()


def _seen(
    archive: Archive,
    path: Path,
    url: str,
    ledger: Ledger,
    raw: Path,
    all_files: bool,
    ask: Callable[[str], Remote],
) -> Item:
    entry = ledger[archive.name]
    if is_unpacked(archive, ledger, raw, all_files):
        return Item(archive, path, url, "unpacked", entry.remote, entry.size or 0)
    if path.is_file():
        size = path.stat().st_size
        if not entry.sha256:  # brought by other means
            remote = ask(url)
            if remote.size not in (None, size):
                raise DataError(
                    f"{path} has {size:,} bytes, the server's has {remote.size:,}",
                    "remove it to download it again",
                )
        return Item(archive, path, url, "here", entry.remote, size)
    part = part_of(path)
    here = part.stat().st_size if part.is_file() else 0
    return Item(archive, path, url, "partly" if here else "missing", ask(url), here)
