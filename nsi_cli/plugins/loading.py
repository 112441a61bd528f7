"""Loading one plugin, such that whatever it does wrong is its own fault and nobody else's."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pluggy

from nsi_cli.errors import NsiError, PluginError
from nsi_cli.options import did_you_mean
from nsi_cli.plugins import hooks
from nsi_cli.plugins.candidates import Candidate, TakenError, location_of
from nsi_cli.plugins.contract import Task

HOOK = hooks.nsi_tasks.__name__


def load_tasks(candidate: Candidate) -> list[Task]:
    """Import a plugin and ask its hook for the tasks that it brings.

    What the plugin prints goes to stderr, since stdout carries results only. Raises
    `PluginError`, with the cause and a remedy, for everything that can go wrong with a plugin
    (an import that exits included).
    """
    if candidate.fault:
        raise candidate.fault
    with contextlib.redirect_stdout(sys.stderr):
        if candidate.root:
            _make_importable(candidate.package, candidate.root, candidate.location)
        with _told(f"importing '{candidate.entry.value}'"):
            plugin = candidate.entry.load()
        manager = pluggy.PluginManager(hooks.PROJECT)  # of its own: no plugin wraps another's hook
        manager.add_hookspecs(hooks)
        with _told("its hook does not fit"):
            manager.register(plugin)
        _check_hooks(manager, plugin)
        with _told(f"its hook {HOOK}"):
            results = manager.hook.nsi_tasks()
    return _checked(results)


@contextlib.contextmanager
def _told(doing: str) -> Iterator[None]:
    """Turn whatever a plugin raises, an exit included, into a `PluginError`."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except NsiError as error:
        raise PluginError(f"{doing}: {error.message}", error.hint) from error
    except ModuleNotFoundError as error:
        hint = f"install '{error.name}' in this environment, or mend the import"
        raise PluginError(f"{doing}: {error}", hint) from error
    except BaseException as error:
        cause = " ".join(str(error).split())
        raise PluginError(
            f"{doing}: {type(error).__name__}" + (f": {cause}" if cause else ""),
            "mend the plugin; --debug shows where it fails",
        ) from error


def _make_importable(package: str, root: Path, location: Path | None) -> None:
    """Put a plugin project's root at the end of the import path.

    At the end, so that nothing in a plugin's folder hides a module of somebody else's. Worker
    processes get the import path from their parent, whether spawned or from a fork server.
    """
    known = str(root) in sys.path
    if not known:
        sys.path.append(str(root))
        importlib.invalidate_caches()
    found = location_of(package)
    if found != location:
        if not known:
            sys.path.remove(str(root))
        raise TakenError(
            f"the name of its package '{package}' is taken by {found}",
            "uninstall the one you do not want, or give the package another name",
        )


def _check_hooks(manager: pluggy.PluginManager, plugin: Any) -> None:
    """Raise `PluginError` for a plugin whose hooks are misspelt or missing."""
    callers = manager.get_hookcallers(plugin) or []
    wrong = [caller.name for caller in callers if not caller.has_spec()]
    if wrong:
        near = did_you_mean(wrong[0], [HOOK]) or f"the hook is called {HOOK}"
        raise PluginError(f"there is no hook '{wrong[0]}'; {near}", f"rename it to {HOOK}")
    if not callers:
        unmarked = callable(getattr(plugin, HOOK, None))
        raise PluginError(
            f"its {HOOK} is not marked with @hookimpl" if unmarked else f"it has no hook {HOOK}",
            f"define {HOOK}() under the marker `@hookimpl` of nsi_cli.plugins",
        )


def _checked(results: list[Any]) -> list[Task]:
    """What the hook returned, flattened; only tasks, each name once."""
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
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PluginError(f"it brings the task '{twice[0]}' twice", "give each task its own name")
    return tasks
