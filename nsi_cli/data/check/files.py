"""Checks of a store's files: the record, hashes, the schema and its vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nsi_cli.data.check.result import CheckResult
from nsi_cli.data.store.record import (
    BUILD,
    SCHEMA,
    read_scene_label,
    read_schema,
    record_faults,
    size_fault,
)
from nsi_cli.data.store.summary import FIGURE, SUMMARY
from nsi_cli.data.store.writer import label_files
from nsi_cli.schema import Categorical, Schema
from nsi_cli.support.files import read_json, sha256
from nsi_cli.support.progress import Progress

UNRECORDED = frozenset({BUILD, SUMMARY, FIGURE, "features"})
"""Files of a store that ``build.json`` does not record, since they can be computed again."""


def check_record(result: CheckResult, build: dict[str, Any]) -> None:
    """Check that ``build.json`` has every key, of the type that a build writes."""
    for fault in record_faults(build):
        result.fault(fault)
    if not result.faults:
        result.looked_at = f"{len(build['splits'])} splits, {len(build['files'])} files"


def check_files(result: CheckResult, path: Path, build: dict[str, Any], progress: Progress) -> None:
    """Check the size and hash of every recorded file; warn of other files."""
    total = sum(recorded["bytes"] for recorded in build["files"].values())
    with progress.stage("hash", total, "B") as advance:
        for name, recorded in build["files"].items():
            if fault := size_fault(path, name, recorded["bytes"]):
                result.fault(fault)
            elif sha256(path / name, advance) != recorded["sha256"]:
                result.fault(f"{name} has another SHA-256 than was written")
    for name in sorted(file.name for file in path.iterdir()):
        if name not in build["files"] and name not in UNRECORDED:
            result.warn(f"{name} is not part of the store")
    result.looked_at = f"{len(build['files'])} files, {total / 1e6:,.1f} MB"


def check_schema(result: CheckResult, path: Path, build: dict[str, Any]) -> Schema:
    """The schema of the store, compared with the recorded fingerprint."""
    schema = read_schema(path / SCHEMA, "schema", "build the store again")
    if schema.fingerprint != build["schema"]:
        result.fault(f"{SCHEMA} has fingerprint {schema.fingerprint}, not {build['schema']}")
    result.looked_at = f"{len(schema.properties)} properties, {schema.width} columns"
    return schema


def check_label_files(result: CheckResult, path: Path, schema: Schema) -> None:
    """Check that the published label files agree with the schema."""
    for name, wanted in label_files(schema).items():
        found = read_json(path / name, "vocabulary", "build the store again")
        if not isinstance(found, dict):
            result.fault(f"{name} is not a JSON object")
            continue
        for key in [*wanted, *(key for key in found if key not in wanted)]:
            if found.get(key) != wanted.get(key):
                result.fault(f"{name}: '{key}' does not agree with {SCHEMA}")
    values = sum(len(item.values) for item in schema.categorical)
    result.looked_at = f"{values} values of {len(schema.categorical)} properties"


def check_scene_label(result: CheckResult, path: Path, build: dict[str, Any]) -> Categorical | None:
    """The name and values of the scene labels; None if the store has none."""
    label = read_scene_label(path, build, "build the store again")
    if label is not None:
        result.looked_at += f", {len(label.values)} values of {label.name} of scenes"
    return label
