"""The options that a store was built with, compared with those of the store of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nsi_cli.data.store.reader import BUILD, Store
from nsi_cli.plugins.contract import Task
from nsi_cli.support.errors import DataError, NsiError
from nsi_cli.support.files import read_json
from nsi_cli.support.options import check_options, declared_options


def differences(task: Task, trained_on: Path, store: Store) -> list[str]:
    """The differences in build options of a store and the run's store, at ``trained_on``, as lines.

    A line is a warning if the option changes images. If the run's store no longer exists, a single
    line says so.
    """
    trained = _options_at(trained_on)
    if trained is None:
        return [
            f"note: the store at {trained_on}, on which the run was trained, no longer exists; "
            f"whether {store.path} was built with the same options is unknown"
        ]
    lines = []
    for item in declared_options(task.load_schema_builder()):
        value, trained_value = store.build["options"].get(item.name), trained.get(item.name)
        if value == trained_value:
            continue
        line = (
            f"{store.path} was built with {item.flag} {value}, the run's store with {trained_value}"
        )
        if item.option.changes_images:
            lines.append(f"warning: {line}: its images are made differently")
        else:
            lines.append(f"note: {line}")
    return lines


def options_of(trained_on: Path, store: Store) -> dict[str, Any]:
    """The build options of the run's store, or of ``store`` if that is missing."""
    return _options_at(trained_on) or store.build["options"]


def builder_of(task: Task, recorded: dict[str, Any]) -> Any:
    """The schema builder with recorded options; None if the task's builder does not accept them."""
    kind = task.load_schema_builder()
    values = {
        item.name: recorded[item.name] for item in declared_options(kind) if item.name in recorded
    }
    try:
        raw = Path(recorded.get("raw", ""))
        return check_options(kind, values, where=BUILD, raw=raw)
    except NsiError:
        return None


def _options_at(path: Path) -> dict[str, Any] | None:
    try:
        options = read_json(path / BUILD, "store", "")["options"]
    except (DataError, KeyError, TypeError):
        return None
    return options if isinstance(options, dict) else None
