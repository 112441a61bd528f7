"""Discovery: finds all plugins, loads each in isolation, and resolves conflicts of names."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nsi_cli.plugins.discovery.entry_points import (
    NameConflictError,
    PluginEntryPoint,
    folder_entry_points,
    installed_entry_points,
    refuse_shared_packages,
)
from nsi_cli.plugins.discovery.loading import load_tasks
from nsi_cli.plugins.discovery.probing import Note, refuse_harmful
from nsi_cli.plugins.discovery.registry import DisabledError, LoadResult, TaskInfo, TaskRegistry
from nsi_cli.support.errors import PluginError

__all__ = [
    "TaskInfo",
    "TaskRegistry",
    "disabled_from_environment",
    "discover",
    "plugin_dirs_from_environment",
]

DISABLED = DisabledError("disabled by NSI_DISABLE", "remove the name from NSI_DISABLE")


def discover(
    plugin_dirs: Sequence[Path] = (),
    disabled: Collection[str] = (),
    *,
    probe_again: bool = False,
    note: Note = lambda text: None,
) -> TaskRegistry:
    """Find and load the plugins of installed distributions and of ``plugin_dirs``.

    ``disabled`` contains names of tasks, entry points or projects to skip. A plugin that fails
    to load gets a row with the reason and affects no other plugin. If several plugins have a
    task of the same name, the built-in one keeps it, then an installed one; two of the same kind
    are both refused. Parts that a task refers to by name are not imported.

    A plugin that is new or has changed is first imported in a child process; ``probe_again``
    does that for all plugins. ``note`` is called with a message if that takes long. Raises
    `PluginError` for a plugin folder that does not exist.
    """
    plugins = _distinct([*installed_entry_points(), *folder_entry_points(plugin_dirs)])
    plugins = [
        replace(item, root=None, error=DISABLED) if item.names & set(disabled) else item
        for item in plugins
    ]
    plugins = refuse_shared_packages(plugins)
    plugins = refuse_harmful(plugins, again=probe_again, note=note)
    results = [result for plugin in plugins for result in _load(plugin, disabled)]
    return TaskRegistry(sorted(_resolve_names(results), key=lambda result: result.order))


def plugin_dirs_from_environment() -> list[Path]:
    """Return the plugin folders in ``NSI_PLUGIN_PATH``, which are separated as in ``PATH``."""
    folders = os.environ.get("NSI_PLUGIN_PATH", "").split(os.pathsep)
    return [Path(folder).expanduser() for folder in folders if folder.strip()]


def disabled_from_environment() -> set[str]:
    """Return the names of tasks, entry points or projects in ``NSI_DISABLE`` (a comma list)."""
    names = os.environ.get("NSI_DISABLE", "").split(",")
    return {name.strip() for name in names if name.strip()}


def _distinct(plugins: Iterable[PluginEntryPoint]) -> list[PluginEntryPoint]:
    """Drop duplicates: a project can be both installed and in a plugin folder."""
    distinct: dict[object, PluginEntryPoint] = {}
    for plugin in plugins:
        located = plugin.error is None and plugin.location is not None
        distinct.setdefault((plugin.entry.value, plugin.location) if located else plugin, plugin)
    return list(distinct.values())


def _load(plugin: PluginEntryPoint, disabled: Collection[str]) -> Iterator[LoadResult]:
    try:
        tasks = load_tasks(plugin)
    except PluginError as error:
        yield LoadResult(plugin, error=error)
        return
    for task in tasks:
        yield LoadResult(plugin, task, DISABLED if task.name in disabled else None)


def _resolve_names(results: Sequence[LoadResult]) -> list[LoadResult]:
    """Set an error on each task whose name belongs to another plugin's task."""
    usable: dict[str, list[LoadResult]] = {}
    for result in results:
        if result.error is None:
            usable.setdefault(result.name, []).append(result)
    return [result if result.error else _resolve(result, usable[result.name]) for result in results]


def _resolve(result: LoadResult, rivals: Sequence[LoadResult]) -> LoadResult:
    """Return the result unchanged if only its plugin has the lowest rank, else with an error."""
    lowest = min(rival.plugin.rank for rival in rivals)
    owners = [rival.plugin for rival in rivals if rival.plugin.rank == lowest]
    if owners == [result.plugin]:
        return result
    sources = " and ".join(rival.plugin.description for rival in rivals)
    outcome = f"{owners[0].source} keeps the name" if len(owners) == 1 else "all are refused"
    error = NameConflictError(
        f"several plugins have a task '{result.name}': {sources}; {outcome}",
        "remove one, disable one by its project's name in NSI_DISABLE, or rename its task",
    )
    return replace(result, error=error)
