"""Unpacking untrusted archives: only wanted members, and only into the raw folder."""

from __future__ import annotations

import platform
import tarfile
from pathlib import Path

from nsi_cli.data.download.untar import extract_tar
from nsi_cli.data.download.unzip import ZIP_STARTS, extract_zip
from nsi_cli.plugins.archive import Archive
from nsi_cli.support.errors import DataError
from nsi_cli.support.progress import Advance
from nsi_cli.support.reading import open_regular


def check_python() -> None:
    """Raise `DataError` if this Python's `tarfile` has no extraction filters."""
    if not hasattr(tarfile, "data_filter"):
        raise DataError(
            f"Python {platform.python_version()} cannot unpack untrusted archives safely",
            "use Python 3.11.4 or later, or unpack them yourself and give the folder with --raw",
        )


def extract(
    path: Path,
    archive: Archive,
    raw: Path,
    advance: Advance = lambda count, text="": None,
) -> int:
    """Write the wanted members of the archive at ``path`` under ``raw``; return their number.

    Whether it is a tar or a zip archive is detected from its content. Each file is written to a
    temporary file, which then replaces any file of its name. ``advance`` is called with the number
    of bytes of the archive that were used since the previous call.

    Raises `HostileError` for an archive that could do harm, `DamagedError` for one that is
    truncated or corrupt, `DataError` if it has no wanted member.
    """
    with open_regular(path) as file:
        is_zip = file.read(4) in ZIP_STARTS
    folder = raw / archive.folder
    count = (extract_zip if is_zip else extract_tar)(path, archive, folder, advance)
    if not count:
        raise DataError(
            f"the archive {path} has none of the files of {archive.folder or archive.name}",
            "it may be the wrong archive: remove it, or choose another --mirror",
        )
    return count
