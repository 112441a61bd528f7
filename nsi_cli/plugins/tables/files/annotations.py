"""Finding the annotation files of a raw folder, and reading them as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nsi_cli.plugins.tables.files.csv_files import parse_csv
from nsi_cli.plugins.tables.files.records import (
    parse_json,
    parse_json_lines,
    read_parquet,
    with_objects,
)
from nsi_cli.plugins.tables.names import SPLITS
from nsi_cli.plugins.tables.table import Table, joined
from nsi_cli.support.errors import DataError
from nsi_cli.support.reading import read_regular, reason_of

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")
LARGEST = 4_000_000_000  # bytes of a table

_FOUND = tuple(suffix for suffix in SUFFIXES if suffix != ".txt")
_IMAGEFOLDER = ("metadata.jsonl", "metadata.csv", "metadata.parquet")


def read_annotations(raw: Path, annotations: Path | None) -> Table:
    """Return the table of a raw folder: of the given file, or of the files found in the folder.

    ``metadata.jsonl``, ``.csv`` or ``.parquet`` in the folder or its subfolders are read as the
    ``imagefolder`` convention says; else the only table in the folder, or one for each split, such
    as ``train.csv`` and ``test.csv``. Raises `DataError`.
    """
    if not raw.is_dir():
        raise DataError(f"no raw folder at {raw}", "name the folder of the images with --raw")
    if annotations is not None:
        inside = raw / annotations
        return read_table(inside if inside.exists() else annotations)
    folders = [path for name in _IMAGEFOLDER for path in sorted(raw.glob(f"*/{name}"))]
    whole = [raw / name for name in _IMAGEFOLDER if (raw / name).is_file()]
    if whole:
        return read_table(whole[0])
    if folders:
        return joined([_in_folder(path) for path in folders])
    return _only_table(raw)


def read_table(path: Path) -> Table:
    """Return the table in a file, by its suffix: one of `SUFFIXES`. Raises `DataError`."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"{path.name} is not a table", f"tables end with one of {', '.join(SUFFIXES)}"
        )
    if suffix == ".parquet" and path.is_file():
        return read_parquet(path)
    try:
        data = read_regular(path, LARGEST)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}", "check the path") from None
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {reason_of(error)}", "check it") from None
    if suffix in (".jsonl", ".ndjson"):
        return parse_json_lines(path.name, data)
    if suffix == ".json":
        return parse_json(path.name, data)
    table = with_objects(path.name, parse_csv(path.name, data))
    if not len(table):
        raise DataError(f"{path.name} has no rows", "it needs a row for each object")
    return table


def _in_folder(path: Path) -> Table:
    """Return the table of a subfolder, with image names relative to the folder above."""
    table, folder = read_table(path), path.parent.name
    if "file_name" not in table.columns:
        raise DataError(f"{folder}/{path.name} has no column 'file_name'", "add it")
    names = [f"{folder}/{name}" for name in table.columns["file_name"]]
    columns = {**table.columns, "file_name": names}
    return replace(table, name=f"{folder}/{path.name}", columns=columns)


def _only_table(raw: Path) -> Table:
    found = sorted(path for path in raw.iterdir() if path.suffix.lower() in _FOUND)
    if len(found) == 1:
        return read_table(found[0])
    splits = [SPLITS.get(path.stem.lower(), "") for path in found]
    if found and all(splits) and len(set(splits)) == len(splits):
        return joined(list(map(read_table, found)), "split", splits)
    raise _unclear(raw, found)


def _unclear(raw: Path, found: Sequence[Path]) -> DataError:
    if not found:
        return DataError(
            f"no annotation file in {raw}",
            "put a table with one row per object there (CSV, JSON Lines or Parquet), or name it "
            "with --annotations FILE",
        )
    names = ", ".join(path.name for path in found[:5]) + ", …" * (len(found) > 5)
    return DataError(f"{len(found)} tables in {raw}: {names}", "choose one with --annotations FILE")
