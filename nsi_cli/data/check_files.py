"""Checks of a store's files as such: the record, hashes, the schema and its vocabulary."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nsi_cli.data.check_verdict import Verdict
from nsi_cli.data.store import BUILD, FORMAT, IMAGES, SCHEMA
from nsi_cli.data.store_writer import vocabularies
from nsi_cli.files import read_json
from nsi_cli.progress import Progress
from nsi_cli.schema import Schema

DERIVED = frozenset({BUILD, "summary.json", "summary.png", "features"})
"""What lies in a store without being recorded: it can be made again from the rest."""

_MEGABYTE = 1_000_000
_KEYS = {
    "task": str,
    "image_size": int,
    "masks": bool,
    "schema": str,
    "splits": dict,
    "options": dict,
    "skipped": list,
    "files": dict,
}
_COUNTS = ("scenes", "objects", "dropped_objects")


def check_record(verdict: Verdict, build: dict[str, Any]) -> None:
    """``build.json`` has every key, of the type that a build writes."""
    if build.get("format") != FORMAT:
        verdict.fault(f"format is {build.get('format')!r}, {FORMAT} is read here")
    for key, kind in _KEYS.items():
        if not isinstance(build.get(key), kind):
            verdict.fault(f"'{key}' is {build.get(key)!r}" if key in build else f"no '{key}'")
    if verdict.faults:
        return
    for split, told in build["splits"].items():
        wrong = [key for key in _COUNTS if not isinstance(told, dict) or not _count(told.get(key))]
        if wrong:
            verdict.fault(f"split '{split}' has no number of {' and '.join(wrong)}")
    for name, told in build["files"].items():
        if not isinstance(told, dict) or not _count(told.get("bytes")) or "sha256" not in told:
            verdict.fault(f"file '{name}' has no size or no SHA-256")
        elif Path(name).name != name:
            verdict.fault(f"file '{name}' is no plain name")
    _check_complete(verdict, build)
    verdict.looked_at = f"{len(build['splits'])} splits, {len(build['files'])} files"


def _check_complete(verdict: Verdict, build: dict[str, Any]) -> None:
    arrays = [f"{split}_{what}.npy" for split in build["splits"] for what in ("labels", "lengths")]
    for name in (IMAGES, SCHEMA, *arrays):
        if name not in build["files"]:
            verdict.fault(f"no hash of {name} is recorded")


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def check_files(verdict: Verdict, path: Path, build: dict[str, Any], progress: Progress) -> None:
    """Every recorded file is there with its size and hash; what else is there is warned of."""
    total = sum(told["bytes"] for told in build["files"].values())
    with progress.stage("hash", total // _MEGABYTE, "MB") as advance:
        done = 0

        def add(count: int) -> None:
            nonlocal done
            advance((done + count) // _MEGABYTE - done // _MEGABYTE)
            done += count

        for name, told in build["files"].items():
            file = path / name
            if not file.is_file():
                verdict.fault(f"{name} is missing")
            elif (size := file.stat().st_size) != told["bytes"]:
                verdict.fault(f"{name} has {size:,} bytes, {told['bytes']:,} were written")
            elif _sha256(file, add) != told["sha256"]:
                verdict.fault(f"{name} has another SHA-256 than was written")
    names = sorted(file.name for file in path.iterdir())
    extra = [name for name in names if name not in build["files"] and name not in DERIVED]
    verdict.warn_each(range(len(extra)), lambda at: f"{extra[at]} is no part of the store")
    verdict.looked_at = f"{len(build['files'])} files, {total / 1e6:,.1f} MB"


def _sha256(file: Path, advance: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(1 << 22):
            digest.update(block)
            advance(len(block))
    return digest.hexdigest()


def check_schema(verdict: Verdict, path: Path, build: dict[str, Any]) -> Schema:
    """The schema of the store, held against the recorded fingerprint."""
    schema = Schema.from_json(read_json(path / SCHEMA, "schema", "build the store again"))
    if schema.fingerprint != build["schema"]:
        verdict.fault(f"{SCHEMA} has fingerprint {schema.fingerprint}, not {build['schema']}")
    verdict.looked_at = f"{len(schema.properties)} properties, {schema.width} columns"
    return schema


def check_vocabulary(verdict: Verdict, path: Path, schema: Schema) -> None:
    """The published label files hold exactly what follows from the schema."""
    for name, wanted in vocabularies(schema).items():
        found = read_json(path / name, "vocabulary", "build the store again")
        if not isinstance(found, dict):
            verdict.fault(f"{name} is not a JSON object")
            continue
        for key in [*wanted, *(key for key in found if key not in wanted)]:
            if found.get(key) != wanted.get(key):
                verdict.fault(f"{name}: '{key}' is not what {SCHEMA} says")
    values = sum(len(item.values) for item in schema.categorical)
    verdict.looked_at = f"{values} values of {len(schema.categorical)} properties"
