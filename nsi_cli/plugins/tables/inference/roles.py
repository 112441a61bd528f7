"""Which columns name the image, the split and the mask of an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from nsi_cli.plugins.tables import names
from nsi_cli.plugins.tables.cells import is_missing, word
from nsi_cli.plugins.tables.image_paths import ImageFolder
from nsi_cli.plugins.tables.table import Cell, Table
from nsi_cli.plugins.tables.table_schema import TableMask, TableSplit
from nsi_cli.support.errors import ConfigError, DataError
from nsi_cli.support.options import did_you_mean

_SAMPLE = 200  # different values of a column, or images, that are looked at
_MOST, _HALF = 0.9, 0.5


@dataclass(frozen=True)
class Role:
    """What a column, or several, are for, and why."""

    columns: tuple[str, ...]
    reason: str


def check_name(table: Table, column: str, flag: str) -> str:
    """Return the name of a column that a flag names. Raises `ConfigError` for an unknown one."""
    if column not in table.columns:
        near = did_you_mean(column, table.columns)
        known = ", ".join(list(table.columns)[:20])
        raise ConfigError(
            f"{flag}: {table.name} has no column '{column}'", near or f"it has: {known}"
        )
    return column


def find_image(table: Table, images: ImageFolder) -> Role:
    """Return the column that names images. Raises `DataError` if none does, or several do."""
    others = {name: cells for name, cells in table.columns.items() if not _is_mask(name)}
    files = [name for name, cells in others.items() if _looks_like_files(cells)]
    named = [name for name in others if _rank(name, names.IMAGE_COLUMNS) < len(names.IMAGE_COLUMNS)]
    for kind, candidates in (("names of image files", files), ("", named), ("", list(others))):
        shares = {name: _share_of_files(others[name], images) for name in candidates}
        found = [name for name in candidates if kind or shares[name] > _HALF]
        if not found:
            continue
        ranks = {name: (shares[name] <= _HALF, _rank(name, names.IMAGE_COLUMNS)) for name in found}
        best = min(found, key=lambda name: ranks[name])
        rivals = [name for name in found if ranks[name] == ranks[best] and name != best]
        if rivals:
            raise DataError(
                f"{table.name}: both '{best}' and '{rivals[0]}' name image files",
                f"choose one: --image-column {best}",
            )
        return Role((best,), kind or "names of image files without their suffix")
    raise DataError(
        f"{table.name}: no column names image files: {', '.join(list(table.columns)[:20])}",
        f"choose one with --image-column COLUMN; images are searched in {images.root}",
    )


def find_split(
    table: Table, names_of_images: Sequence[Cell], images: ImageFolder
) -> tuple[TableSplit, str]:
    """Return where the splits come from, and why."""
    for name, cells in table.columns.items():
        words = {word(cell).lower() for cell in cells if not is_missing(cell)}
        if len(words) > 1 and (
            words <= names.SPLITS.keys()
            or (names.plain(name) in names.SPLIT_COLUMNS and words & names.SPLITS.keys())
        ):
            return TableSplit("column", name), f"'{name}' has the words {', '.join(sorted(words))}"
    folders = {folder_split(word(cell), images) for cell in _different(names_of_images)}
    if len(folders) > 1 and None not in folders:
        return TableSplit("folders"), "every image is in a folder named like a split"
    return TableSplit("random"), "no column or folder names splits"


def folder_split(name: str, images: ImageFolder) -> str | None:
    """Return the split that the folder of an image is named like, or None."""
    try:
        path = images.find(name) or name
    except DataError:
        path = name
    found = [names.SPLITS.get(part.lower()) for part in PurePosixPath(path).parts[:-1]]
    return next((split for split in reversed(found) if split), None)


def find_mask(table: Table, images: ImageFolder) -> tuple[TableMask | None, str]:
    """Return the columns of the mask file and of its value, and why; None if there is no mask."""
    files = [
        name
        for name, cells in table.columns.items()
        if _is_mask(name) and (_looks_like_files(cells) or _share_of_files(cells, images) > 0.5)
    ]
    if not files:
        return None, ""
    file = min(files, key=lambda name: _rank(name, names.MASK_COLUMNS))
    values = [name for name in table.columns if names.plain(name) in names.MASK_VALUE_COLUMNS]
    if values:
        value = min(values, key=lambda name: _rank(name, names.MASK_VALUE_COLUMNS))
        return TableMask(file, value), f"mask files, in which '{value}' is the value of an object"
    known = [word(cell) for cell in table.columns[file] if not is_missing(cell)]
    if len(set(known)) == len(known):
        return TableMask(file), "one mask file for each object"
    return None, (
        f"'{file}' names one mask for several objects, but no column has the value of each object; "
        "add a column mask_value"
    )


def _is_mask(name: str) -> bool:
    return names.plain(name) in names.MASK_COLUMNS


def _rank(name: str, known: Sequence[str]) -> int:
    plain = names.plain(name)
    return known.index(plain) if plain in known else len(known)


def _different(cells: Sequence[Cell]) -> list[Cell]:
    """Return the distinct texts of a column, at most a sample of them."""
    known = (cell for cell in cells if isinstance(cell, str | int) and not is_missing(cell))
    return list(islice(dict.fromkeys(known), _SAMPLE))


def _looks_like_files(cells: Sequence[Cell]) -> bool:
    sample = _different(cells)
    files = sum(names.is_image_file(word(cell)) for cell in sample)
    return bool(sample) and files >= _MOST * len(sample)


def _share_of_files(cells: Sequence[Cell], images: ImageFolder) -> float:
    """Return the share of a column's values that are names of image files."""
    sample, found = _different(cells), 0
    for cell in sample:
        try:
            found += images.find(word(cell)) is not None
        except DataError:
            found += 1
    return found / len(sample) if sample else 0.0
