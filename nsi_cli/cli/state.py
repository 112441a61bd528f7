"""What the global options say, and what follows from them for every subcommand."""

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
class State:
    """The global options; plugins are loaded on first use of `registry`."""

    plugin_dirs: tuple[Path, ...] = ()
    debug: bool = False
    quiet: bool = False

    @cached_property
    def registry(self) -> TaskRegistry:
        """All tasks, and all plugins that failed to load."""
        return self.load_plugins()

    def load_plugins(self, *, probe_again: bool = False) -> TaskRegistry:
        """Load all plugins; with ``probe_again``, check the import of those known already too."""
        from nsi_cli.plugins.discovery.discover import (
            disabled_from_environment,
            discover,
            plugin_dirs_from_environment,
        )

        folders = (*self.plugin_dirs, *plugin_dirs_from_environment())
        return discover(
            folders,
            disabled_from_environment(),
            probe_again=probe_again,
            note=lambda text: self.progress.note(text),  # imports Rich only if it is called
        )

    @cached_property
    def progress(self) -> Progress:
        """Progress on stderr: bars on a terminal, lines elsewhere, nothing when quiet.

        Where several processes train together, the first one tells.
        """
        from nsi_cli.cli.progress import make_progress

        return make_progress(quiet=self.quiet or not is_first_process())

    def command(self, *words: object) -> str:
        """A command to type next, ready for a shell, with the global options that it needs."""
        import shlex

        needed = [word for path in self.plugin_dirs for word in ("--plugin-dir", path)]
        return shlex.join(map(str, ("nsi", *needed, *words)))


def state_of(ctx: Any) -> State:
    """The state of a command's context."""
    state = ctx.find_root().obj
    return state if isinstance(state, State) else State()
