"""Verification of a store: it is read again and compared with its own ``build.json``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nsi_cli.data.check.files import (
    check_files,
    check_label_files,
    check_record,
    check_scene_label,
    check_schema,
)
from nsi_cli.data.check.images import check_images, check_masks, check_shapes
from nsi_cli.data.check.labels import check_ids, check_labels, check_scene_labels
from nsi_cli.data.check.result import CheckResult
from nsi_cli.data.store.reader import BUILD, Store
from nsi_cli.support.errors import DataError, NsiError, one_line
from nsi_cli.support.files import read_json
from nsi_cli.support.progress import SILENT, Progress

CHECKS = {
    "record": "build.json has every key, of the right type",
    "files": "each file has the recorded size and SHA-256",
    "schema": "schema.json has the recorded fingerprint",
    "vocabulary": "the three label files agree with the schema",
    "counts": "arrays have the recorded numbers of scenes and objects",
    "ids": "no two scenes of the store share an id",
    "labels": "ids are in the vocabulary, numbers finite, and the padding zero",
    "masks": "the values of each mask are the numbers of its scene's objects",
    "images": "every image can be read, and is not all of one colour",
}
"""The checks by name, in order, with what each one checks."""

_DAMAGE = (OSError, ValueError, LookupError, TypeError, RuntimeError, ArithmeticError, EOFError)


def check_store(path: Path, progress: Progress = SILENT) -> list[CheckResult]:
    """Read the whole store at ``path`` and return the results of all checks.

    Only ids and labels are held in memory. A check is skipped if its input is missing, for example
    labels if there is no schema. Raises `DataError` if there is no
    ``build.json``.
    """
    hint = "name the folder that nsi build-data made"
    build = read_json(path / BUILD, "store", hint)
    if not isinstance(build, dict):
        raise DataError(f"{path / BUILD} is not the record of a store", hint)
    results = {name: CheckResult(name, about) for name, about in CHECKS.items()}
    _run(check_record, results["record"], build)
    if not results["record"].faults:
        _check_contents(path, build, results, progress)
    return list(results.values())


def _check_contents(
    path: Path, build: dict[str, Any], results: dict[str, CheckResult], progress: Progress
) -> None:
    _run(check_files, results["files"], path, build, progress)
    schema = _run(check_schema, results["schema"], path, build)
    if schema is None:
        return
    _run(check_label_files, results["vocabulary"], path, schema)
    label = _run(check_scene_label, results["vocabulary"], path, build)
    store = Store(path, schema, build, label)
    ids = _run(check_ids, results["ids"], store) or {}
    lengths = _run(check_labels, results["labels"], results["counts"], store, ids) or {}
    _run(check_scene_labels, results["labels"], store, ids)
    if _run(check_shapes, results["counts"], store):
        _run(check_images, results["images"], store, ids, progress)
        if store.has_masks:
            _run(check_masks, results["masks"], store, ids, lengths)
    if not store.has_masks:
        results["masks"].looked_at = "the store has no masks"


def _run(check: Callable[..., Any], result: CheckResult, *inputs: Any) -> Any:
    """Run a check; an error becomes a fault, and the return value None."""
    result.begun = True
    try:
        return check(result, *inputs)
    except NsiError as error:
        result.fault(error.message)
    except _DAMAGE as error:
        result.fault(f"cannot be read: {type(error).__name__}: {one_line(str(error))}")
    return None
