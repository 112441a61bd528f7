"""Verification of a store: it is read again and compared with its own ``build.json``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nsi_cli.data.check.files import check_files, check_record, check_schema, check_vocabulary
from nsi_cli.data.check.images import check_ids, check_pictures
from nsi_cli.data.check.labels import check_labels
from nsi_cli.data.store.faults import CheckResult
from nsi_cli.data.store.reader import BUILD, Store
from nsi_cli.support.errors import DataError, NsiError
from nsi_cli.support.files import read_json
from nsi_cli.support.progress import SILENT, Progress

CHECKS = {
    "record": "build.json is as a build writes it",
    "files": "each file has the size and the SHA-256 that were recorded",
    "schema": "schema.json has the recorded fingerprint",
    "vocabulary": "the three label files say what the schema says",
    "counts": "arrays have the recorded numbers of scenes and objects",
    "ids": "no scene is there twice, within a split or across splits",
    "labels": "ids are in the vocabulary, numbers finite, places beyond a scene's objects zero",
    "masks": "each object has pixels, and each pixel an object",
    "images": "every image can be read, and is not all of one colour",
}
"""The checks by name, in order, with what each of them holds."""

_DAMAGE = (OSError, ValueError, LookupError, TypeError, RuntimeError, ArithmeticError, EOFError)


def check_store(path: Path, progress: Progress = SILENT) -> list[CheckResult]:
    """Read the whole store at ``path`` again and return everything that is wrong with it.

    Memory grows with the number of scenes only by their ids and labels. A check whose input is
    missing (labels without a schema, say) is skipped. Raises `DataError` if there is no
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
    _run(check_vocabulary, results["vocabulary"], path, schema)
    store = Store(path, schema, build)
    ids = _run(check_ids, results["ids"], store) or {}
    lengths = _run(check_labels, results["labels"], results["counts"], store, ids) or {}
    pictures = (results["masks"], results["counts"], store, ids, lengths, progress)
    _run(check_pictures, results["images"], *pictures)


def _run(check: Callable[..., Any], result: CheckResult, *ground: Any) -> Any:
    """Run a check; an error becomes a fault, and the return value None."""
    result.begun = True
    try:
        return check(result, *ground)
    except NsiError as error:
        result.fault(error.message)
    except _DAMAGE as error:
        result.fault(f"cannot be read: {type(error).__name__}: {' '.join(str(error).split())}")
    return None
