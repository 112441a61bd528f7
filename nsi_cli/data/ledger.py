"""What is known of downloaded archives: a small JSON file beside them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from nsi_cli.data.remote import Remote
from nsi_cli.errors import DataError
from nsi_cli.files import read_json, write_json

NAME = "archives.json"

Extent = Literal["", "wanted", "all"]


@dataclass(frozen=True)
class Entry:
    """What is known of one archive: where it comes from, what it is, and what was made of it."""

    url: str = ""
    size: int | None = None
    etag: str = ""
    modified: str = ""
    sha256: str = ""
    """Of the whole archive; empty until it is there."""
    extracted: Extent = ""
    """Which of its members are unpacked, all of them."""

    @property
    def remote(self) -> Remote:
        """The file on the server from which it, or its first part, was fetched."""
        return Remote(self.size, self.etag, self.modified)

    @classmethod
    def of(cls, url: str, remote: Remote) -> Entry:
        """The entry of an archive of which the first byte is still to come."""
        return cls(url, remote.size, remote.etag, remote.modified)


class Ledger:
    """The entries of a folder, by the archives' names; each change is on disk at once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        if self.path.is_file():
            hint = "remove it: archives that are there are looked at anew"
            data = read_json(self.path, "record of archives", hint)
            try:
                self._entries = {name: _entry(values) for name, values in data.items()}
            except (AttributeError, TypeError, ValueError):
                raise DataError(f"{self.path} is no record of archives", hint) from None

    def __getitem__(self, name: str) -> Entry:
        return self._entries.get(name, Entry())

    def put(self, name: str, entry: Entry) -> None:
        """Record an archive anew."""
        with self._lock:
            self._entries[name] = entry
            write_json(
                self.path, {key: asdict(self._entries[key]) for key in sorted(self._entries)}
            )

    def change(self, name: str, **values: Any) -> None:
        """Record something more of an archive."""
        self.put(name, replace(self[name], **values))


def _entry(values: Mapping[str, Any]) -> Entry:
    known = {field.name for field in fields(Entry)}
    entry = Entry(**{name: value for name, value in values.items() if name in known})
    texts = (entry.url, entry.etag, entry.modified, entry.sha256, entry.extracted)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError
    if not (entry.size is None or isinstance(entry.size, int)):
        raise ValueError
    return entry
