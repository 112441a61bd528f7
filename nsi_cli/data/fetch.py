"""Fetching one file, such that whatever happens the next try goes on where this one ended."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from nsi_cli.data.ledger import Entry, Ledger
from nsi_cli.data.remote import (
    AgainError,
    Patience,
    Remote,
    StoppedError,
    check_status,
    persistently,
    shown,
)
from nsi_cli.errors import DataError
from nsi_cli.files import readable

_CHUNK = 1 << 20


def part_of(path: Path) -> Path:
    """Where the first part of a file lies until the file is whole."""
    return path.with_name(path.name + ".part")


def add_file(digest: hashlib._Hash, path: Path, advance: Callable[[int], None]) -> None:
    """Add a file's content to a hash."""
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            digest.update(data)
            advance(len(data))


@dataclass
class Fetch:
    """The download of one file to ``path``.

    What came is in ``path``.part, of the file that the ledger tells of; it is added to only as
    long as the server vouches (``If-Range`` with the strong ETag, else the date) that it is that
    file still. Otherwise, and where the server ignores ranges, it is begun anew.
    """

    url: str
    path: Path
    expected: Remote
    ledger: Ledger
    client: httpx.Client
    patience: Patience
    stop: threading.Event
    advance: Callable[[int], None]
    note: Callable[[str], None]
    _at: int = 0
    _sum: hashlib._Hash = field(default_factory=hashlib.sha256)

    def run(self) -> None:
        """Fetch it. Raises `DataError` where it cannot be had, `StoppedError` where stopped."""
        self._take_up()
        persistently(self._try, self.url, self.patience, self.stop, lambda: self._at, self.note)
        entry = self.ledger[self.path.name]
        self.ledger.put(self.path.name, replace(entry, size=self._at, sha256=self._sum.hexdigest()))
        os.replace(part_of(self.path), self.path)

    def _take_up(self) -> None:
        """Read what is there already, if it is of the file that the server has now."""
        part, entry = part_of(self.path), self.ledger[self.path.name]
        if not part.is_file():
            self._begin(self.expected)
        elif not (entry.remote.validator and entry.remote.is_still(self.expected)):
            self.advance(-part.stat().st_size)
            self._begin(self.expected)
        else:
            self.note(f"{self.path.name}: {readable(part.stat().st_size)} are here, reading them")
            add_file(self._sum, part, self._read)

    def _read(self, count: int) -> None:
        self._at += count
        self._check_stop()

    def _begin(self, remote: Remote) -> None:
        """Begin anew: the old part goes before the ledger tells of the new file."""
        self.advance(-self._at)
        self._at, self._sum = 0, hashlib.sha256()
        part_of(self.path).write_bytes(b"")
        self.ledger.put(self.path.name, Entry.of(shown(self.url), remote))

    def _try(self) -> None:
        """One request, and whatever comes of it."""
        have = self.ledger[self.path.name].remote
        if self._at and self._at == have.size:
            return
        if self._at and not have.validator:  # nothing vouches that the rest belongs to it
            self._begin(have)
        headers = {}
        if self._at:
            headers = {"Range": f"bytes={self._at}-", "If-Range": have.validator}
        with self.client.stream("GET", self.url, headers=headers) as response:
            if response.status_code == 416 and have.size is None and self._is_whole(response):
                return
            if response.status_code in (206, 416):
                self._check_range(response, have)
            else:
                check_status(response)
                self._begin_with(Remote.of(response))
            self._receive(response)

    def _is_whole(self, response: httpx.Response) -> bool:
        """Whether nothing lacks of a file whose size was not told before."""
        return self._at > 0 and Remote.of(response).size == self._at

    def _check_range(self, response: httpx.Response, have: Remote) -> None:
        """Whether the part that comes is the one that lacks; else raise, and begin anew."""
        told = response.headers.get("content-range", "")
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", told)
        whole = Remote.of(response)
        if not self._at:
            reason = "the server sends a part that was not asked for"
        elif response.status_code == 416 or (whole.size or have.size) != have.size:
            reason = "the server has another size now"
        elif (whole.etag or have.etag, whole.modified or have.modified) != (
            have.etag,
            have.modified,
        ):
            reason = "the file on the server has changed"
        elif found is None or int(found[1]) != self._at:
            reason = f"the server sends another part than the one asked for ({told})"
        else:
            return
        self._begin(replace(have, etag="", modified=""))
        raise AgainError(reason)

    def _begin_with(self, remote: Remote) -> None:
        """The whole file comes: the server ignores ranges, or has another file by now."""
        known = self.ledger[self.path.name].remote
        if remote.size is None:
            remote = replace(remote, size=known.size)
        same = remote.validator == known.validator
        if same and known.size is not None and remote.size != known.size:
            raise DataError(
                f"{shown(self.url)}: the server says {_size(remote)} now and said {_size(known)} "
                "before, of one and the same file",
                "run the command again later, or name another --mirror",
            )
        if self._at:
            why = "cannot send a part" if same else "has another file now"
            self.note(f"{self.path.name}: the server {why}; it is begun anew")
        self._begin(remote)

    def _receive(self, response: httpx.Response) -> None:
        size = self.ledger[self.path.name].size
        with part_of(self.path).open("ab") as file:
            for data in response.iter_raw():
                self._check_stop()
                if size is not None and self._at + len(data) > size:
                    raise DataError(
                        f"{shown(self.url)}: the server sends more than the {readable(size)} that "
                        "it said",
                        "run the command again later, or name another --mirror",
                    )
                file.write(data)
                self._sum.update(data)
                self._at += len(data)
                self.advance(len(data))
        if size is not None and self._at < size:
            raise AgainError(f"{readable(size - self._at)} did not come")

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise StoppedError


def _size(remote: Remote) -> str:
    return "an unknown size" if remote.size is None else f"{remote.size:,} bytes"
