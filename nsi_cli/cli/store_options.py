"""The options that stores were built with: how two stores differ, and a builder of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nsi_cli.cli.state import State
from nsi_cli.data.store.reader import BUILD, Store
from nsi_cli.plugins.contract import Task
from nsi_cli.support.errors import DataError, NsiError
from nsi_cli.support.files import read_json
from nsi_cli.support.options import check_options, declared_options


def tell_differences(state: State, task: Task, trained_on: Path, store: Store) -> None:
    """Note how a store was built otherwise than the one that a run was trained on.

    A warning where other images follow from it. Says so where that store is not there any more.
    """
    theirs = _options_at(trained_on)
    if theirs is None:
        state.progress.note(
            f"note: there is no store at {trained_on} any more, on which the run was trained; "
            f"whether {store.path} was built with the same options is not known"
        )
        return
    ours = store.build["options"]
    for item in declared_options(task.load_schema_builder()):
        here, there = ours.get(item.name), theirs.get(item.name)
        if here == there:
            continue
        told = f"{store.path} was built with {item.flag} {here}, the run's store with {there}"
        if item.option.changes_images:
            state.progress.note(f"warning: {told}: its images are made another way")
        else:
            state.progress.note(f"note: {told}")


def builder_of(task: Task, trained_on: Path, store: Store) -> Any:
    """The schema builder with the options that the run's store was built with.

    Those of ``store`` where that one is not there any more; None where the task's builder does
    not take them any more.
    """
    recorded = _options_at(trained_on) or store.build["options"]
    kind = task.load_schema_builder()
    values = {
        item.name: recorded[item.name] for item in declared_options(kind) if item.name in recorded
    }
    try:
        raw = Path(recorded.get("raw", ""))
        return check_options(kind, values, where=str(store.path / BUILD), raw=raw)
    except NsiError:
        return None


def _options_at(path: Path) -> dict[str, Any] | None:
    try:
        options = read_json(path / BUILD, "store", "")["options"]
    except (DataError, KeyError, TypeError):
        return None
    return options if isinstance(options, dict) else None
