"""The manifest of downloaded archives: a JSON file in the folder of the archives."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nsi_cli.data.download.http import RemoteFile
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import read_json, write_json

NAME = "archives.json"
_HINT = "remove it: archives that are already on disk are then compared with the server"


@dataclass(frozen=True)
class ManifestEntry:
    """The record of one archive: its source, its content, and whether it was unpacked."""

    url: str = ""
    size: int | None = None
    etag: str = ""
    modified: str = ""
    sha256: str = ""
    """The hash of the whole archive; empty until the download is complete."""
    extracted: str = ""
    """``"wanted"`` once it is unpacked, else empty; older versions also wrote ``"all"``."""

    @property
    def remote(self) -> RemoteFile:
        """The server's file from which the archive, or its first part, was downloaded."""
        return RemoteFile(self.size, self.etag, self.modified)


class DownloadManifest:
    """The entries of a folder by archive name; each change is written immediately."""

    def __init__(self, folder: Path) -> None:
        from pydantic import TypeAdapter

        self.path = folder / NAME
        self._lock = threading.Lock()
        self._entries: dict[str, ManifestEntry] = {}
        if self.path.is_file():
            data = read_json(self.path, "download manifest", _HINT)
            try:
                self._entries = TypeAdapter(dict[str, ManifestEntry]).validate_python(data)
            except ValueError:
                raise DataError(f"{self.path} is not a download manifest", _HINT) from None

    def __getitem__(self, name: str) -> ManifestEntry:
        return self._entries.get(name, ManifestEntry())

    def put(self, name: str, entry: ManifestEntry) -> None:
        """Replace an archive's entry."""
        with self._lock:
            self._entries[name] = entry
            write_json(self.path, {key: asdict(self[key]) for key in sorted(self._entries)})

    def change(self, name: str, **values: Any) -> None:
        """Change some fields of an archive's entry."""
        self.put(name, replace(self[name], **values))
