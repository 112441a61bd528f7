"""Paths, as the functions of the API take them."""

from __future__ import annotations

from pathlib import Path

PathLike = Path | str


def optional_path(path: PathLike | None) -> Path | None:
    """The path, or None if none was given."""
    return None if path is None else Path(path)
