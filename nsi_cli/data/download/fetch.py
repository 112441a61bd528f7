"""Downloading one file, and resuming an interrupted download."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from rich.filesize import decimal

from nsi_cli.data.download.http import RemoteFile, check_status, header
from nsi_cli.data.download.manifest import DownloadManifest, ManifestEntry
from nsi_cli.data.download.transfer import RetryableError, StalledError, Transfer, without_password
from nsi_cli.support.errors import DataError
from nsi_cli.support.reading import open_regular

MAX_RESTARTS = 5
"""How often a download may restart from the first byte before it fails."""
_CHUNK = 1 << 20
_HINT = "run the command again later, or choose another --mirror"


def part_of(path: Path) -> Path:
    """Return the path to which a file is written until it is complete."""
    return path.with_name(path.name + ".part")


def hash_file(digest: hashlib._Hash, path: Path, advance: Callable[[int], None]) -> None:
    """Add a file's content to a hash."""
    with open_regular(path) as file:
        while data := file.read(_CHUNK):
            digest.update(data)
            advance(len(data))


@dataclass
class Fetch:
    """The download of one file to ``path``.

    ``path``.part holds the first bytes of the file that the manifest describes. The download
    resumes from there only if the server confirms (``If-Range`` with a strong ETag or else the
    date) that its file is unchanged. Otherwise, or if the server ignores ranges, it restarts.
    """

    url: str
    path: Path
    remote: RemoteFile
    manifest: DownloadManifest
    client: httpx.Client
    transfer: Transfer
    advance: Callable[[int], None]
    note: Callable[[str], None]
    _position: int = 0
    _restarts: int = 0
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def run(self) -> None:
        """Download the file. Raises the errors of `Transfer.run`."""
        self._resume()
        self.transfer.run(self._attempt)
        digest = self._digest.hexdigest()
        self.manifest.change(self.path.name, size=self._position, sha256=digest)
        os.replace(part_of(self.path), self.path)

    @property
    def _known(self) -> RemoteFile:
        """The server's file from which the partial file was downloaded."""
        return self.manifest[self.path.name].remote

    def _resume(self) -> None:
        """Hash the partial file if it belongs to the server's current file, else restart."""
        part, known, now = part_of(self.path), self._known, self.remote
        if not part.is_file():
            self._restart(now)
        elif known.validator and (known.size, known.validator) == (now.size, now.validator):
            self.note(
                f"{self.path.name}: reading the {decimal(part.stat().st_size)} already on disk"
            )
            hash_file(self._digest, part, self._count_hashed)
        else:
            self.advance(-part.stat().st_size)
            self._restart(now)

    def _count_hashed(self, count: int) -> None:
        self._position += count
        self.transfer.check_stopped()

    def _restart(self, remote: RemoteFile) -> None:
        """Restart at the first byte.

        The partial file is emptied before the manifest names the new file.
        """
        self._restarts += self._position > 0
        if self._restarts > MAX_RESTARTS:
            raise StalledError(
                f"{without_password(self.url)}: the server made the download restart "
                f"{MAX_RESTARTS} times"
            )
        self.advance(-self._position)
        self._position, self._digest = 0, hashlib.sha256()
        part_of(self.path).write_bytes(b"")
        entry = ManifestEntry(without_password(self.url), remote.size, remote.etag, remote.modified)
        self.manifest.put(self.path.name, entry)

    def _attempt(self) -> None:
        """Make one request, and append its response to the partial file."""
        known = self._known
        if self._position and self._position == known.size:
            return
        if self._position and not known.validator:  # the server may have another file now
            self._restart(known)
        headers = {}
        if self._position:
            validator = known.validator.encode("latin-1", "replace")
            headers = {b"Range": b"bytes=%d-" % self._position, b"If-Range": validator}
        with self.client.stream("GET", self.url, headers=headers) as response:
            if response.status_code not in (206, 416):
                check_status(response)
                self._restart_with(RemoteFile.of(response))
            elif known.size is None and self._is_complete(response):
                return
            elif not self._is_continued_by(response, known):
                self._restart(RemoteFile(known.size))
                raise RetryableError("the server's response does not continue the partial file")
            self._receive(response)

    def _is_complete(self, response: httpx.Response) -> bool:
        """Whether a refused range means that the partial file is complete."""
        return response.status_code == 416 and RemoteFile.of(response).size == self._position

    def _is_continued_by(self, response: httpx.Response, known: RemoteFile) -> bool:
        """Whether a partial response starts where the partial file ends, in the same file."""
        range_sent = re.match(r"bytes ([0-9]{1,18})-", header(response, "content-range"))
        now = RemoteFile.of(response)
        return (
            range_sent is not None
            and int(range_sent[1]) == self._position
            and now.size in (None, known.size)
            and now.etag in ("", known.etag)
            and now.modified in ("", known.modified)
        )

    def _restart_with(self, now: RemoteFile) -> None:
        """Restart with a response that contains the whole file."""
        known = self._known
        if now.size is None:
            now = replace(now, size=known.size)
        is_same = now.validator == known.validator
        if is_same and known.size not in (None, now.size):
            raise DataError(
                f"{without_password(self.url)}: the server first announced {known.size:,} bytes "
                f"and now {now.size:,} bytes for the same file",
                _HINT,
            )
        if self._position:
            why = "does not send partial files" if is_same else "has a different file now"
            self.note(f"{self.path.name}: the server {why}; restarting the download")
        self._restart(now)

    def _receive(self, response: httpx.Response) -> None:
        size, part = self._known.size, part_of(self.path)
        # A file of unknown size may use half of the free space: unpacking needs the rest.
        half = self._position + shutil.disk_usage(part.parent).free // 2
        limit = half if size is None else size
        with part.open("ab") as file:
            for data in response.iter_raw():
                self.transfer.received(len(data))
                if self._position + len(data) > limit:
                    raise self._too_long(size, limit)
                file.write(data)
                file.flush()  # a blocked thread is abandoned, and its buffer would be lost
                self._digest.update(data)
                self._position += len(data)
                self.advance(len(data))
        if size is not None and self._position < size:
            raise RetryableError(
                f"the connection ended with {decimal(size - self._position)} missing"
            )

    def _too_long(self, size: int | None, limit: int) -> DataError:
        url = without_password(self.url)
        if size is None:
            why = f"sent {decimal(limit)} without announcing a size: half of the free disk space"
            return DataError(f"{url}: the server {why}", "free some space, or choose a --mirror")
        part_of(self.path).unlink()  # its first bytes cannot be trusted either
        return DataError(f"{url}: the server sent more than the {size:,} bytes announced", _HINT)
