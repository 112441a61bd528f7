"""The errors of archives that are not unpacked, and how much an archive may unpack to."""

from __future__ import annotations

from pathlib import Path

from rich.filesize import decimal

from nsi_cli.support.errors import DataError, one_line

MAX_RATIO, MIN_LIMIT = 20, 64_000_000
"""An archive may unpack to `MAX_RATIO` times its size, or to `MIN_LIMIT` bytes if that is more.

Images hardly compress, so an archive that exceeds this is a decompression bomb."""


def size_limit(size: int) -> int:
    """The most bytes that an archive of ``size`` bytes may unpack to."""
    return max(MAX_RATIO * size, MIN_LIMIT)


class DamagedError(DataError):
    """An archive that is truncated or corrupt."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"the archive {path} is damaged: {one_line(why)}", "remove it and download it again"
        )


class HostileError(DataError):
    """An archive that could do harm, for example with links or a decompression bomb."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"the archive {path} is refused: {one_line(why)}",
            "do not trust it: remove it and download it from its original source",
        )


def bomb_error(path: Path, size: int) -> HostileError:
    """The error for an archive of ``size`` bytes that unpacks to too many."""
    return HostileError(
        path,
        f"a decompression bomb: its {decimal(size)} unpack to more than "
        f"{decimal(size_limit(size))}",
    )
