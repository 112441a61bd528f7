"""The global options, and what follows from them for every command."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli.support.processes import is_first_process

if TYPE_CHECKING:
    from nsi_cli.plugins.discovery.registry import TaskRegistry
    from nsi_cli.support.progress import Progress


@dataclass(frozen=True)
class AppContext:
    """The global options; plugins are loaded on first use of `tasks`."""

    plugin_dirs: tuple[Path, ...] = ()
    debug: bool = False
    quiet: bool = False

    @cached_property
    def tasks(self) -> TaskRegistry:
        """All tasks, and all plugins that failed to load."""
        return self.find_tasks()

    def find_tasks(self, *, probe_again: bool = False) -> TaskRegistry:
        """Load all plugins; with ``probe_again``, probe those already known too."""
        from nsi_cli import api

        return api.find_tasks(
            self.plugin_dirs,
            probe_again=probe_again,
            note=lambda text: self.progress.note(text),  # imports Rich only if it is called
        )

    @cached_property
    def progress(self) -> Progress:
        """Progress on stderr: bars on a terminal, lines elsewhere, nothing if quiet.

        Only the first of several processes shows it.
        """
        from nsi_cli.cli.progress import make_progress

        return make_progress(quiet=self.quiet or not is_first_process())

    def command(self, *words: object) -> str:
        """A command to type next, quoted for a shell, with the global options that it needs."""
        import shlex

        needed = [word for path in self.plugin_dirs for word in ("--plugin-dir", path)]
        return shlex.join(map(str, ("nsi", *needed, *words)))


def context_of(ctx: Any) -> AppContext:
    """The global options of a command's Typer context."""
    found = ctx.find_root().obj
    return found if isinstance(found, AppContext) else AppContext()
