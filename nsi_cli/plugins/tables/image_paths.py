"""Finding the image files that a table names, wherever the table was written."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from nsi_cli.plugins.tables.names import MASK_FOLDERS, is_image_file
from nsi_cli.support.errors import DataError


class ImageFolder:
    """The image files under a folder, listed once, and found by the names that a table uses."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The paths of all image files, relative to the folder, sorted."""
        return tuple(sorted(_walk(self.root, set())))

    @cached_property
    def pictures(self) -> tuple[str, ...]:
        """Those that are not in a folder of masks."""
        return tuple(path for path in self.files if not _in_mask_folder(path))

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """The paths by file name, and by file name without its suffix."""
        paths = defaultdict(list)
        for path in self.files:
            name = PurePosixPath(path).name
            paths[name].append(path)
            paths[name[: name.rfind(".")]].append(path)
        return paths

    @cached_property
    def _all(self) -> frozenset[str]:
        return frozenset(self.files)

    def find(self, name: str, *, mask: bool = False) -> str | None:
        """Return the path of a file that a table names; None if there is none.

        A name is a path relative to the folder, or an absolute one. If there is no such file, the
        file is searched by its name, with or without suffix; of several, the one whose path agrees
        longest is taken, so that paths of another machine are found. Files in folders of masks are
        images only if nothing else is. Raises `DataError` if several files remain.
        """
        wanted = name.strip().replace("\\", "/").removeprefix("./")
        wanted = wanted.removeprefix(f"{self.root.resolve().as_posix()}/")
        if wanted in self._all:
            return wanted
        if is_image_file(wanted) and os.path.isfile(self.root / wanted):  # noqa: PTH113
            return wanted  # an absolute path, or one outside the folder
        parts = PurePosixPath(wanted).parts
        if not parts:
            return None
        candidates = self._by_name.get(parts[-1], [])
        fitting = [path for path in candidates if _in_mask_folder(path) == mask]
        best = _longest(fitting or candidates, parts)
        if len(best) > 1:
            raise DataError(
                f"'{name}' can be {best[0]} or {best[1]}", "name images by their path in the folder"
            )
        return best[0] if best else None

    def path(self, found: str) -> Path:
        """Return the path of a file that was found."""
        return self.root / found


def _longest(candidates: list[str], parts: tuple[str, ...]) -> list[str]:
    """Return the candidates that share the most last parts with a path."""

    def shared(path: str) -> int:
        count = 0
        for one, other in zip(PurePosixPath(path).parts[-2::-1], parts[-2::-1], strict=False):
            if one != other:
                break
            count += 1
        return count

    scores = [shared(path) for path in candidates]
    return [path for path, score in zip(candidates, scores, strict=True) if score == max(scores)]


def _in_mask_folder(path: str) -> bool:
    return any(part.lower() in MASK_FOLDERS for part in PurePosixPath(path).parts[:-1])


def _walk(root: Path, seen: set[str], prefix: str = "") -> Iterator[str]:
    """Yield the image files below a folder; links to folders are followed, but no folder twice."""
    real = os.path.realpath(root)
    if real in seen:
        return
    seen.add(real)
    try:
        entries = list(os.scandir(root))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), seen, f"{prefix}{entry.name}/")
        elif is_image_file(entry.name) and entry.is_file():
            yield prefix + entry.name
