"""The hook that a plugin implements, and its pluggy markers."""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from nsi_cli.plugins.contract import Task

PROJECT = "nsi"
ENTRY_POINT_GROUP = "nsi.tasks"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def nsi_tasks() -> Task | Sequence[Task]:  # type: ignore[empty-body]
    """Return the task, or the tasks, of this plugin."""
