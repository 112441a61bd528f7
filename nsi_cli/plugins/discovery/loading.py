"""Loading one plugin; every exception that it raises becomes a `PluginError`."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pluggy

from nsi_cli.plugins import hooks
from nsi_cli.plugins.contract import Task
from nsi_cli.plugins.discovery.entry_points import NameConflictError, PluginEntryPoint, location_of
from nsi_cli.support.errors import NsiError, PluginError, text_of
from nsi_cli.support.options import did_you_mean
from nsi_cli.support.streams import output_to_stderr

HOOK = hooks.nsi_tasks.__name__


def load_tasks(plugin: PluginEntryPoint) -> list[Task]:
    """Import a plugin, call its hook, and return its tasks.

    Raises `PluginError` with the cause and a remedy for every exception in the plugin,
    SystemExit included. What the plugin prints goes to stderr, because stdout is for results.
    """
    if plugin.error:
        raise plugin.error
    with output_to_stderr():
        if plugin.root:
            _make_importable(plugin.package, plugin.root, plugin.location)
        with _as_plugin_error(f"importing '{plugin.entry.value}'"):
            module = plugin.entry.load()
        manager = pluggy.PluginManager(hooks.PROJECT)  # no other plugin can wrap its hook
        manager.add_hookspecs(hooks)
        with _as_plugin_error("its hook cannot be registered"):
            manager.register(module)
        _check_hooks(manager, module)
        with _as_plugin_error(f"its hook {HOOK}"):
            results = manager.hook.nsi_tasks()
        return _checked(results)


@contextlib.contextmanager
def _as_plugin_error(action: str) -> Iterator[None]:
    """Turn every exception of a plugin, SystemExit included, into a `PluginError`."""
    try:
        yield
    except KeyboardInterrupt:  # by the user: probing refuses plugins that raise it
        raise
    except NsiError as error:
        raise PluginError(f"{action}: {text_of(error.message)}", text_of(error.hint)) from error
    except ModuleNotFoundError as error:
        hint = f"install '{text_of(error.name)}' in this environment, or fix the import"
        raise PluginError(f"{action}: {text_of(error)}", hint) from error
    except BaseException as error:
        cause = text_of(error)
        raise PluginError(
            f"{action}: {type(error).__name__}" + (f": {cause}" if cause else ""),
            "fix the plugin; --debug shows the traceback",
        ) from error


def _make_importable(package: str, root: Path, location: Path | None) -> None:
    """Append a plugin project's root to ``sys.path``.

    It goes to the end, so that no file in a plugin's folder hides another module. Worker
    processes inherit ``sys.path``, whether spawned or started by a fork server.
    """
    known = str(root) in sys.path
    if not known:
        sys.path.append(str(root))
        importlib.invalidate_caches()
    actual = location_of(package)
    if actual != location:
        if not known:
            sys.path.remove(str(root))
        raise NameConflictError(
            f"its package name '{package}' is already used by {actual}",
            "uninstall the one that you do not need, or rename the package",
        )


def _check_hooks(manager: pluggy.PluginManager, module: Any) -> None:
    """Raise `PluginError` if the plugin's hook is misspelt or missing."""
    callers = manager.get_hookcallers(module) or []
    wrong = [caller.name for caller in callers if not caller.has_spec()]
    if wrong:
        suggestion = did_you_mean(wrong[0], [HOOK]) or f"the hook is called {HOOK}"
        raise PluginError(f"there is no hook '{wrong[0]}'; {suggestion}", f"rename it to {HOOK}")
    if not callers:
        with _as_plugin_error(f"its hook {HOOK}"):
            unmarked = callable(getattr(module, HOOK, None))
        raise PluginError(
            f"its {HOOK} is not marked with @hookimpl" if unmarked else f"it has no hook {HOOK}",
            f"define {HOOK}() with the decorator `@hookimpl` of nsi_cli.plugins",
        )


def _checked(results: list[Any]) -> list[Task]:
    """Return the tasks that the hook returned as one list, after checking types and names."""
    tasks: list[Any] = []
    for result in results:
        tasks += result if isinstance(result, list | tuple) else [result]
    wrong = [task for task in tasks if not isinstance(task, Task)]
    if wrong or not tasks:
        got = f"a {type(wrong[0]).__name__}" if wrong else "nothing"
        raise PluginError(
            f"its hook {HOOK} returned {got}, not a Task or a list of them", "return Task(…)"
        )
    names = [task.name for task in tasks]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise PluginError(
            f"it returns the task '{duplicates[0]}' twice", "give each task its own name"
        )
    return tasks
